"""What all charts have in common.

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


def layered(*layers: Spec, height: int, params: Sequence[Spec] = (), **more: Any) -> Chart:
    """A chart as wide as its place on the page.

    Args:
        *layers: from bottom to top.
        height: in pixels.
        params: of Vega-Lite.
        **more: ``sources`` and ``marks`` of the chart.
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
    return Chart(spec=spec, **more)


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
    return {
        "field": "arm",
        "type": "nominal",
        "scale": {"domain": [clean(arm) for arm in arms], "padding": 0},
        "axis": {"title": None, "domain": False, "ticks": False, "labelLimit": 110},
    }


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
        lines.append({"field": name, "title": title} | ({"format": form} if form else {}))
    return [line | ({"type": "quantitative"} if "format" in line else {}) for line in lines]


def share(field: str, title: str, **scale: Any) -> Spec:
    """An axis of accuracies or other shares, which need not begin at zero."""
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"zero": False, **scale},
        "axis": {"title": title, "format": ".2f", "tickCount": 6, "grid": True},
    }


ONCE: Spec = {"values": [{}]}
"""Data of a mark that is drawn once."""


def guessing(chance: float, y: Spec) -> Spec:
    """A line across at the accuracy of guessing, on the scale of ``y``."""
    return {
        "data": ONCE,
        "mark": {"type": "rule", "style": "chance", "clip": True},
        "encoding": {"y": at(chance, y)},
    }


def at(value: float, channel: Spec) -> Spec:
    """A fixed value on the scale of an encoding."""
    return {**{key: part for key, part in channel.items() if key != "field"}, "datum": value}
