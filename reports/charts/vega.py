"""What the charts are built of: parts of Vega-Lite.

A chart is a Vega-Lite specification without data and colours. The page puts in its own, so that its
charts share one copy of the trials and follow its light and dark look; a picture puts in those of
print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.records.study_record import Run
from reports.page.text import clean

Spec: TypeAlias = dict[str, Any]
"""A part of a specification, or a row of its data."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A specification and what it takes to draw it.

    Attributes:
        spec: of Vega-Lite, with named data.
        sources: the names of that data.
        marks: marks of Vega itself that the page adds to the compiled specification, for what
            Vega-Lite cannot say.
    """

    spec: Spec
    sources: tuple[str, ...]
    marks: tuple[Spec, ...] = ()


def chart(*layers: Spec, height: int, params: Sequence[Spec] = (), **more: Any) -> Chart:
    """A chart as wide as its place on the page.

    Args:
        *layers: from bottom to top.
        height: in pixels.
        params: of Vega-Lite.
        **more: ``marks`` of the chart.
    """
    spec = {
        # Names the version; nothing is loaded from there.
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": list(params),
        "layer": list(layers),
    }
    names = dict.fromkeys(layer["data"].get("name") for layer in layers)
    return Chart(spec=spec, sources=tuple(filter(None, names)), **more)


def layer(
    source: str, mark: Spec, encoding: Spec, *, where: str = "", name: str = "", **more: Any
) -> Spec:
    """Marks of the rows of a source, or of those ``where`` a condition holds.

    Args:
        source: name of the data; empty for a mark that is drawn once.
        mark: of Vega-Lite, as are the others.
        encoding: what each channel shows.
        where: an expression of Vega.
        name: under which the page finds the marks.
        **more: such as ``params``.
    """
    data: Spec = {"name": source} if source else {"values": [{}]}
    found = {"data": data, "mark": mark, "encoding": encoding, **more}
    if where:
        found["transform"] = [{"filter": where}]
    return {"name": name, **found} if name else found


def number(field: str, axis: Spec | None, **scale: Any) -> Spec:
    """A channel of numbers on an axis."""
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def share(field: str, title: str | None, **scale: Any) -> Spec:
    """A channel of accuracies or other shares, whose axis need not begin at zero."""
    axis = {"title": title, "format": ".2f", "tickCount": 6, "grid": True}
    return number(field, axis, zero=False, **scale)


def at(value: float, channel: Spec) -> Spec:
    """A fixed value on the scale of a channel."""
    return {**{key: part for key, part in channel.items() if key != "field"}, "datum": value}


def arm_names(run: Run) -> tuple[str, ...]:
    """All arms in the order that gives them colour and shape."""
    return tuple(dict.fromkeys([*run.study.arms, *(record.arm for record in run.searched)]))


def by_arm(run: Run, *channels: str) -> Spec:
    """Encodings that give each arm its colour (``color``, ``fill``, ``stroke``) or ``shape``."""
    arms = [clean(arm) for arm in arm_names(run)]
    channel = {"field": "arm", "type": "nominal", "scale": {"domain": arms}, "legend": None}
    return dict.fromkeys(channels, channel)


def by_row(arms: Sequence[str]) -> Spec:
    """An upright axis with a row per arm, the first at the top."""
    scale = {"domain": [clean(arm) for arm in arms], "padding": 0}
    axis = {"title": None, "domain": False, "ticks": False, "labelLimit": 110}
    return {"field": "arm", "type": "nominal", "scale": scale, "axis": axis}


ISOLATED: Spec = {"name": "isolated", "value": None}
"""The arm that the reader picked in a legend; ``None`` for all."""


def isolating(alone: float, others: float = 0.05) -> Spec:
    """Opacity that fades all arms but the isolated one."""
    test = "isolated === null || datum.arm === isolated"
    return {"condition": {"test": test, "value": alone}, "value": others}


def faintness(count: int, few: int, strongest: float) -> float:
    """Opacity at which so many marks can still be seen through; up to ``few`` have the full one."""
    return round(max(0.08, min(strongest, strongest * math.sqrt(few / max(1, count)))), 2)


def tooltip(**titles: str) -> list[Spec]:
    """Title by field; ``title`` is the tooltip's heading. A format follows a title after ``|``."""
    lines = []
    for name, text in titles.items():
        title, _, form = text.partition("|")
        line = {"field": name, "title": title}
        lines.append(line | ({"format": form, "type": "quantitative"} if form else {}))
    return lines


def guessing(chance: float, y: Spec) -> Spec:
    """A line across at the accuracy of guessing, on the scale of ``y``."""
    return layer("", {"type": "rule", "style": "chance", "clip": True}, {"y": at(chance, y)})
