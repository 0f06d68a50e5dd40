"""The charts of what chosen configurations cost: a panel per figure, a bar per arm."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis
from reports.charts import vega
from reports.charts.labels import SLIM, names_width, text_width
from reports.charts.picture import WIDTH, Picture, fixed, key, note, picture
from reports.charts.style import PRINT
from reports.charts.vega import Chart, Spec
from reports.leaderboard import Row, rows
from reports.metrics import COLUMNS, TrialFigure
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
    def metric(self) -> TrialFigure:
        """Of the deployed form; it has the unit of all."""
        return COLUMNS[self.metrics[DEPLOYED]]

    @property
    def columns(self) -> list[dict[str, str]]:
        """All metrics that belong to it, per form."""
        return [found for found in (self.metrics, self.quartiles, self.tails) if found]


def _one(name: str, *, log: bool = False) -> Panel:
    return Panel(name=name, title=COLUMNS[name].label, metrics={DEPLOYED: name}, log=log)


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

Runs: TypeAlias = Mapping[str, Sequence[TrialRecord]]
"""The runs of one configuration per arm."""


def leaders(analysis: Analysis) -> Runs:
    """The tested runs of every arm's chosen configuration, by rank."""
    return {entry.arm: entry.confirmed.runs for entry in analysis.leaders}


def measured(runs: Sequence[TrialRecord], name: str) -> list[float]:
    """A metric of every run in which it was measured."""
    values = [COLUMNS[name].read(run) for run in runs]
    return [value for value in values if value is not None]


def cost_rows(panel: Panel, runs: Runs) -> list[Spec]:
    """What a panel draws: a figure per arm and form over its seeds, where any was measured.

    ``median``, ``low`` and ``high`` are over the seeds, ``tail`` is the median of the 95th
    percentile; ``end`` is where the text begins.
    """
    found: list[Spec] = []
    for arm, mine in runs.items():
        forms: list[Spec] = []
        for form, name in panel.metrics.items():
            known, late = measured(mine, name), measured(mine, panel.tails.get(form, name))
            if not known:
                continue
            low, high, median = min(known), max(known), float(statistics.median(known))
            tail = float(statistics.median(late)) if panel.tails and late else None
            text, least, most = (show.figure(panel.metric, one) for one in (median, low, high))
            forms.append({
                "panel": panel.name, "arm": clean(arm), "form": form,
                "median": median, "low": low, "high": high, "tail": tail,
                "text": text, "range": f"{least} to {most}",
                "late": None if tail is None else show.figure(panel.metric, tail),
            })  # fmt: skip
        end = max((max(row["high"], row["tail"] or 0.0) for row in forms), default=0.0)
        found += [{**row, "end": end} for row in forms]
    return found


def cost(analysis: Analysis, panel: Panel) -> Chart:
    """One panel: the median as a bar, the seeds' range as a line, the 95th percentile as a tick.

    A pale bar behind is the form before deployment. Needs the source ``costs``.
    """
    runs = leaders(analysis)
    log = {"type": "log", "nice": False, "padding": 12}
    scale = log if panel.log else {"zero": True, "nice": False}
    layers = _layers(analysis.run, panel, cost_rows(panel, runs), scale, vega.by_row([*runs]))
    return vega.chart(*layers, height=max(1, len(runs)) * ROW)


def _layers(run: Run, panel: Panel, costs: Sequence[Spec], scale: Spec, y: Spec) -> Iterator[Spec]:
    def one(form: str, mark: Spec, x: str, **encoding: Spec | list[Spec]) -> Spec:
        mine = f"datum.panel === '{panel.name}' && datum.form === '{form}'"
        place = {"x": vega.number(x, None, **scale), "y": y}
        return vega.layer("costs", mark, {**place, **encoding}, where=mine)

    told = vega.tooltip(
        arm="title", form="form", text="median", range="over seeds", late="95th percentile"
    )
    forms = {row["form"] for row in costs}
    for form, height, opacity in ((UNDEPLOYED, 19, 0.3), (DEPLOYED, 11, 0.9)):
        if form in forms:
            bar = {"type": "bar", "height": height, "cornerRadiusEnd": 2}
            point = {"type": "point", "filled": True, "size": 80}
            mark = {**(point if panel.log else bar), "opacity": opacity}
            yield one(form, mark, "median", **vega.by_arm(run, "color"), tooltip=told)
    yield one(DEPLOYED, {"type": "rule", "style": "measured"}, "low", x2={"field": "high"})
    if panel.tails:
        tick = {"type": "tick", "style": "measured", "orient": "vertical", "size": 9}
        yield one(DEPLOYED, tick, "tail")
    text = {"type": "text", "style": "note", "align": "left", "dx": 6}
    yield one(DEPLOYED, text, "end", text={"field": "text"})


def timed_rows(analysis: Analysis) -> list[Row]:
    """Arms whose chosen configuration has timings, as the leaderboard orders them."""
    return [row for row in rows(analysis) if row.cost("train_seconds") is not None]


def timing_picture(analysis: Analysis) -> Picture:
    """Three panels beside each other: training, and answering alone and in batches.

    Before any test they are of the best trials of the search. Says so if a device was shared.
    """
    run = analysis.run
    runs: Runs = {
        row.arm: row.entry.confirmed.runs if row.entry else [row.chosen]
        for row in timed_rows(analysis)
        if row.chosen
    }
    titles = ("training", f"1 {run.study.words.example}", "in batches")
    costs = [cost_rows(panel, runs) for panel in PANELS[:3]]
    texts = [max((text_width(row["text"], 11 * SLIM) for row in one), default=0) for one in costs]
    bar = (WIDTH - names_width(runs) - sum(texts) - 82) / len(titles)
    layers: list[Spec] = []
    marks, left = [], 0.0
    for panel, title, drawn, text in zip(PANELS, titles, costs, texts, strict=False):
        widest = max((row["end"] for row in drawn), default=1.0)
        scale = {"domain": [0, widest], "nice": False, "range": [left, left + bar]}
        layers += _layers(run, panel, drawn, scale, vega.by_row([*runs]))
        marks.append(note(title, left, -8, fontWeight="bold"))
        left += bar + text + 22
    height = ROW * len(runs)
    whole = vega.chart(*layers, height=height)
    whole.spec["resolve"] = {"scale": {"x": "independent"}}
    block = {"shape": "M-1,-.7H1V.7H-1Z", "size": 200, "fill": PRINT["soft"]}
    signs = {
        "median": fixed("symbol", **block, opacity=0.9),
        "before deployment": fixed("symbol", **block, opacity=0.3),
        "smallest to largest seed": fixed("rule", stroke=PRINT["ink"], opacity=0.75),
        "95th percentile": fixed("symbol", shape="M0,-1V1", size=80, stroke=PRINT["ink"]),
    }
    is_shared = shared(timed(analysis)) > 0
    return picture(
        run,
        whole,
        "Times (device shared: not comparable)" if is_shared else "Time to train and to answer",
        {"costs": [row for drawn in costs for row in drawn]},
        marks=[*marks, *key(signs, top=height + 22, columns=2)],
        width=left,
        autosize="pad",
    )
