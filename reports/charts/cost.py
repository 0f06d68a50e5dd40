"""The charts of what chosen configurations cost: a panel per figure, a bar per arm."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis
from reports.charts.chart import Chart, Spec, by_arm, by_row, layered, tooltip
from reports.charts.labels import SLIM, names_width, text_width
from reports.charts.picture import WIDTH, Picture, key, note, picture, sign
from reports.charts.style import PRINT
from reports.leaderboard import Row, rows
from reports.metrics import METRICS, Metric
from reports.page.text import clean
from reports.text.cautions import shared, timed

DEPLOYED, UNDEPLOYED = "deployed", "before deployment"

ROW = 26
"""Height of an arm, in pixels."""


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
    quartiles: dict[str, str] = field(default_factory=dict)
    tails: dict[str, str] = field(default_factory=dict)
    log: bool = False

    @property
    def metric(self) -> Metric:
        """Of the deployed form; it has the unit of all."""
        return METRICS[self.metrics[DEPLOYED]]

    @property
    def columns(self) -> list[dict[str, str]]:
        """All metrics that belong to it, per form."""
        return [found for found in (self.metrics, self.quartiles, self.tails) if found]

    def written(self, value: float | None) -> str | None:
        """A figure in its unit."""
        return None if value is None else show.figure(self.metric, value)


def _one(name: str, *, log: bool = False) -> Panel:
    return Panel(name=name, title=METRICS[name].label, metrics={DEPLOYED: name}, log=log)


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


Runs = Mapping[str, Sequence[TrialRecord]]
"""The runs of one configuration per arm."""


def leaders(analysis: Analysis) -> Runs:
    """The tested runs of every arm's chosen configuration, by rank."""
    return {entry.arm: entry.confirmed.runs for entry in analysis.leaders}


def measured(runs: Sequence[TrialRecord], name: str) -> list[float]:
    """A metric of every run in which it was measured."""
    values = [METRICS[name].read(run) for run in runs]
    return [value for value in values if value is not None]


def spreads(panel: Panel, runs: Runs) -> list[Spread]:
    """A panel's figures, of the arms that have any."""
    found = []
    for arm, mine in runs.items():
        for form, name in panel.metrics.items():
            known = measured(mine, name)
            late = measured(mine, panel.tails[form]) if panel.tails else []
            if known:
                found.append(
                    Spread(
                        arm=arm,
                        form=form,
                        median=float(statistics.median(known)),
                        low=min(known),
                        high=max(known),
                        tail=float(statistics.median(late)) if late else None,
                    )
                )
    return found


def panels(analysis: Analysis) -> list[Panel]:
    """Those that have anything to show."""
    return [panel for panel in PANELS if spreads(panel, leaders(analysis))]


def cost_rows(runs: Runs, of: Sequence[Panel] = PANELS) -> list[Spec]:
    """What the panels draw; ``end`` is where the text begins."""
    drawn: list[Spec] = []
    for panel in of:
        found = spreads(panel, runs)
        ends: dict[str, float] = {}
        for one in found:
            ends[one.arm] = max(ends.get(one.arm, 0.0), one.high, one.tail or 0.0)
        drawn += [
            {
                "panel": panel.name,
                "arm": clean(one.arm),
                "form": one.form,
                "median": one.median,
                "low": one.low,
                "high": one.high,
                "tail": one.tail,
                "end": ends[one.arm],
                "text": panel.written(one.median),
                "range": f"{panel.written(one.low)} to {panel.written(one.high)}",
                "late": panel.written(one.tail),
            }
            for one in found
        ]
    return drawn


def cost(analysis: Analysis, panel: Panel) -> Chart:
    """One panel: the median as a bar, the seeds' range as a line, the 95th percentile as a tick.

    A pale bar behind is the form before deployment. Needs the source ``costs``.
    """
    runs = leaders(analysis)
    log = {"type": "log", "nice": False, "padding": 12}
    scale = log if panel.log else {"zero": True, "nice": False}
    forms = {one.form for one in spreads(panel, runs)}
    layers = _layers(analysis.run, panel, forms, scale, by_row([*runs]))
    return layered(*layers, height=max(1, len(runs)) * ROW, sources=("costs",))


def _layers(run: Run, panel: Panel, forms: set[str], scale: Spec, y: Spec) -> Iterator[Spec]:
    def layer(form: str, mark: Spec, x: str, **encoding: Spec | list[Spec]) -> Spec:
        along = {"field": x, "type": "quantitative", "scale": scale, "axis": None}
        mine = f"datum.panel === '{panel.name}' && datum.form === '{form}'"
        return {
            "data": {"name": "costs"},
            "transform": [{"filter": mine}],
            "mark": mark,
            "encoding": {"x": along, "y": y, **encoding},
        }

    titles = tooltip(
        arm="title", form="form", text="median", range="over seeds", late="95th percentile"
    )
    for form, height, opacity in ((UNDEPLOYED, 19, 0.3), (DEPLOYED, 11, 0.9)):
        if form in forms:
            bar = {"type": "bar", "height": height, "cornerRadiusEnd": 2}
            point = {"type": "point", "filled": True, "size": 80}
            mark = {**(point if panel.log else bar), "opacity": opacity}
            yield layer(form, mark, "median", **by_arm(run, "color"), tooltip=titles)
    yield layer(DEPLOYED, {"type": "rule", "style": "spread"}, "low", x2={"field": "high"})
    if panel.tails:
        tick = {"type": "tick", "style": "spread", "orient": "vertical", "size": 9}
        yield layer(DEPLOYED, tick, "tail")
    text = {"type": "text", "style": "value", "align": "left", "dx": 6}
    yield layer(DEPLOYED, text, "end", text={"field": "text"})


def timed_rows(analysis: Analysis) -> list[Row]:
    """Arms whose chosen configuration has timings, as the leaderboard orders them."""
    return [row for row in rows(analysis) if row.cost("train_seconds") is not None]


def timing_picture(analysis: Analysis) -> Picture:
    """Three panels beside each other: training, and answering alone and in batches.

    Before any test they are of the best trials of the search. Says so if a device was shared.
    """
    runs: dict[str, Sequence[TrialRecord]] = {}
    for row in timed_rows(analysis):
        if row.entry:
            runs[row.arm] = row.entry.confirmed.runs
        elif row.chosen:
            runs[row.arm] = [row.chosen]
    drawn, height, y = PANELS[:3], ROW * len(runs), by_row([*runs])
    titles = ("training", f"1 {analysis.run.study.words.example}", "in batches")
    costs = cost_rows(runs, drawn)
    texts = [
        max(
            (text_width(row["text"], 11 * SLIM) for row in costs if row["panel"] == panel.name),
            default=0,
        )
        for panel in drawn
    ]
    longest = (WIDTH - names_width(runs) - sum(texts) - 75) / len(drawn)
    layers: list[Spec] = []
    marks, left = [], 0.0
    for panel, title, text in zip(drawn, titles, texts, strict=True):
        found = spreads(panel, runs)
        widest = max((max(one.high, one.tail or 0.0) for one in found), default=1.0)
        scale = {"domain": [0, widest], "nice": False, "range": [left, left + longest]}
        layers += _layers(analysis.run, panel, {one.form for one in found}, scale, y)
        marks.append(note(title, left, -8, fontWeight="bold"))
        left += longest + text + 22
    bar = {"shape": "M-1,-.7H1V.7H-1Z", "size": 200, "fill": PRINT["soft"]}
    signs = {
        "median": [sign("symbol", **bar, opacity=0.9)],
        "before deployment": [sign("symbol", **bar, opacity=0.3)],
        "smallest to largest seed": [sign("rule", stroke=PRINT["ink"], opacity=0.7)],
        "95th percentile": [sign("symbol", shape="M0,-1V1", size=80, stroke=PRINT["ink"])],
    }
    is_shared = shared(timed(analysis)) > 0
    chart = layered(*layers, height=height, sources=("costs",))
    chart.spec["resolve"] = {"scale": {"x": "independent"}}
    return picture(
        analysis.run,
        chart,
        "Times (device shared: not comparable)" if is_shared else "Time to train and to answer",
        {"costs": costs},
        marks=[*marks, *key(signs, top=height + 22, columns=2)],
        width=left,
        autosize="pad",
    )
