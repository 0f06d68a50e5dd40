"""Charts of what the chosen configurations cost: one panel per figure, one bar per arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reports import show
from reports.analysis import Analysis, Entry
from reports.metrics import METRICS, Metric
from reports.page.chart_parts import Chart, Spec, by_arm, layered, told
from reports.page.text import clean

DEPLOYED, UNDEPLOYED = "deployed", "before deployment"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One figure of cost.

    Attributes:
        name: of its chart, unique.
        title: for people.
        metrics: name in ``reports.metrics``, per form of the model.
        quartiles: that of the interquartile range, per form, where there is one.
        tails: likewise of the 95th percentile.
        log: whether arms differ by powers of ten, so that a bar from zero would show nothing.
    """

    name: str
    title: str
    metrics: dict[str, str]
    quartiles: dict[str, str]
    tails: dict[str, str]
    log: bool = False

    @property
    def metric(self) -> Metric:
        """Of the deployed form; it has the unit of all."""
        return METRICS[self.metrics[DEPLOYED]]

    @property
    def columns(self) -> list[dict[str, str]]:
        """All metrics that belong to it, per form."""
        return [found for found in (self.metrics, self.quartiles, self.tails) if found]

    def told(self, value: float | None) -> str | None:
        """A figure in its unit."""
        return None if value is None else show.figure(self.metric, value)


def _one(name: str, *, log: bool = False) -> Panel:
    title = METRICS[name].label
    return Panel(name=name, title=title, metrics={DEPLOYED: name}, quartiles={}, tails={}, log=log)


def _latency(title: str, stem: str) -> Panel:
    endings = {DEPLOYED: "", UNDEPLOYED: "_undeployed"}
    medians, quartiles, tails = (
        {form: f"{stem}_{which}{ending}" for form, ending in endings.items()}
        for which in ("p50", "iqr", "p95")
    )
    return Panel(name=stem, title=title, metrics=medians, quartiles=quartiles, tails=tails)


PANELS = (
    _one("train_seconds"),
    _latency("latency, one {example} at a time", "inference_ms"),
    _latency("latency per {example}, in batches", "batched_ms"),
    _one("questions_per_second"),
    _one("peak_bytes"),
    _one("stored_bytes", log=True),
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure of one configuration over its seeds.

    Attributes:
        arm: whose.
        form: of the model: ``deployed`` or ``before deployment``.
        median: over the seeds.
        low: the smallest.
        high: the largest.
        tail: median of the 95th percentile, where there is one.
    """

    arm: str
    form: str
    median: float
    low: float
    high: float
    tail: float | None


def measured(entry: Entry, name: str) -> list[float]:
    """A metric of every run of a candidate in which it was measured."""
    values = [METRICS[name].read(run) for run in entry.confirmed.runs]
    return [value for value in values if value is not None]


def spreads(panel: Panel, entries: Sequence[Entry]) -> list[Spread]:
    """A panel's figures, of the entries that have any."""
    found = []
    for entry in entries:
        for form, name in panel.metrics.items():
            known = measured(entry, name)
            median = entry.cost(name)
            if median is None:
                continue
            found.append(
                Spread(
                    arm=entry.arm,
                    form=form,
                    median=median,
                    low=min(known),
                    high=max(known),
                    tail=entry.cost(panel.tails[form]) if panel.tails else None,
                )
            )
    return found


def cost_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """What the panels draw; ``end`` is where the text begins."""
    rows = []
    for panel in PANELS:
        found = spreads(panel, analysis.leaders)
        ends = {
            arm: max(max(s.high, s.tail or 0.0) for s in found if s.arm == arm)
            for arm in dict.fromkeys(spread.arm for spread in found)
        }
        rows += [
            {
                "panel": panel.name,
                "arm": clean(spread.arm),
                "form": spread.form,
                "median": spread.median,
                "low": spread.low,
                "high": spread.high,
                "tail": spread.tail,
                "end": ends[spread.arm],
                "text": panel.told(spread.median),
                "range": f"{panel.told(spread.low)} to {panel.told(spread.high)}",
                "late": panel.told(spread.tail),
            }
            for spread in found
        ]
    return rows


def cost(analysis: Analysis, panel: Panel) -> Chart:
    """One panel: the median as a bar, the seeds' range as a line, the 95th percentile as a tick.

    A pale bar behind is the form before deployment. Needs the source ``costs``.
    """
    arms = [clean(entry.arm) for entry in analysis.leaders]
    y: Spec = {
        "field": "arm",
        "type": "nominal",
        "scale": {"domain": arms},
        "axis": {"title": None, "domain": False, "ticks": False, "labelLimit": 110},
    }
    return layered(
        *(
            {
                "data": {"name": "costs"},
                "transform": [
                    {"filter": f"datum.panel === '{panel.name}' && datum.form === '{form}'"}
                ],
                **layer,
            }
            for form, layer in _layers(analysis, panel, y)
        ),
        height=max(1, len(arms)) * ROW,
        sources=("costs",),
    )


ROW = 26
"""Height of an arm, in pixels."""


def _layers(analysis: Analysis, panel: Panel, y: Spec) -> Iterator[tuple[str, Spec]]:
    forms = {spread.form for spread in spreads(panel, analysis.leaders)}
    colour = by_arm(analysis.run, "color")
    tooltip = told(
        arm="title", form="form", text="median", range="over seeds", late="95th percentile"
    )
    for form, height, opacity in ((UNDEPLOYED, 19, 0.3), (DEPLOYED, 11, 0.9)):
        if form in forms:
            bar = {"type": "bar", "height": height, "cornerRadiusEnd": 2}
            point = {"type": "point", "filled": True, "size": 80}
            mark = {**(point if panel.log else bar), "opacity": opacity}
            place = {"x": _x("median", panel), "y": y}
            yield form, {"mark": mark, "encoding": {**place, **colour, "tooltip": tooltip}}
    range_ = {"x": _x("low", panel), "x2": {"field": "high"}, "y": y}
    yield DEPLOYED, {"mark": {"type": "rule", "style": "spread"}, "encoding": range_}
    if panel.tails:
        tick = {"type": "tick", "style": "spread", "orient": "vertical", "size": 9}
        yield DEPLOYED, {"mark": tick, "encoding": {"x": _x("tail", panel), "y": y}}
    text = {"type": "text", "style": "value", "align": "left", "dx": 6}
    place = {"x": _x("end", panel), "y": y, "text": {"field": "text"}}
    yield DEPLOYED, {"mark": text, "encoding": place}


def _x(name: str, panel: Panel) -> Spec:
    log: Spec = {"type": "log", "nice": False, "padding": 12}
    scale = log if panel.log else {"zero": True, "nice": False}
    return {"field": name, "type": "quantitative", "scale": scale, "axis": None}
