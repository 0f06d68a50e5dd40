"""The chart of accuracy against trained parameters: candidates, their front, and the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis, Entry
from reports.charts.chart import (
    ISOLATED,
    ONCE,
    Chart,
    Spec,
    at,
    by_arm,
    faintness,
    guessing,
    isolating,
    layered,
    share,
    tooltip,
)
from reports.charts.labels import Box, Label, place, text_width
from reports.charts.picture import WIDTH, Picture, fixed, key, note, picture, short, sign
from reports.charts.style import FONT, PRINT, SHAPES
from reports.front import points
from reports.page.text import clean
from reports.standings import best_trials, completed, in_order, stopped_early

CROWD = 8
"""Most arms whose names fit into one column; with more the picture is two columns wide."""

MANY = 150
"""Most trials of the search that names keep clear of."""

_FILLED = {"front": 1.0, "ambiguous": 0.4, "dominated": 0.0}
"""How much of its colour a candidate's sign has, by its place."""


def pareto(analysis: Analysis) -> Chart:
    """Test accuracy of the candidates against trained parameters, over the trials of the search.

    Needs the sources ``entries``, ``front`` and ``trials``.
    """
    run = analysis.run
    x_axis, y_axis = domains(analysis)
    x = _parameters(x_axis)
    tested = "" if analysis.entries else "validation "
    title = f"{tested}accuracy (share of {run.study.words.examples})"
    y = share("accuracy", title, domain=list(y_axis), nice=False)
    chance = run.study.chance
    text: Spec = {
        "name": "note",
        "data": ONCE,
        "mark": {"type": "text", "style": "note", "align": "right", "dy": -7},
        "encoding": {
            "x": {"value": "width"},
            "y": at(chance, y),
            "text": {"value": f"guessing {chance:.3f}"},
        },
    }
    line = {"type": "line", "style": "front", "interpolate": "step-after", "clip": True}
    halo, *above = _entries(run, x, y)
    return layered(
        guessing(chance, y),
        text,
        _search(analysis, x, y),
        halo,
        {"name": "front", "data": {"name": "front"}, "mark": line, "encoding": {"x": x, "y": y}},
        *above,
        height=460,
        params=[ISOLATED, {"name": "search", "value": True}],
        sources=("entries", "front", "trials"),
        marks=(_names("halo-name"), _names("name")),
    )


_POWER = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
"""Whether an axis is at a power of ten: the others would be too many lines."""


def _parameters(domain: Sequence[float]) -> Spec:
    decades = math.log10(domain[1] / domain[0])
    return {
        "field": "parameters",
        "type": "quantitative",
        "scale": {"type": "log", "domain": list(domain), "nice": False},
        "axis": {
            "title": "trained parameters, head included (logarithmic)",
            "format": "~s",
            "tickCount": 6 if decades > 2 else 4,
            "labelOverlap": "greedy",
            "gridOpacity": {"condition": {"test": _POWER, "value": 1}, "value": 0},
            "tickOpacity": {"condition": {"test": _POWER, "value": 1}, "value": 0.4},
        },
    }


def _search(analysis: Analysis, x: Spec, y: Spec) -> Spec:
    run = analysis.run
    zoom = {
        "type": "interval",
        "translate": "[pointerdown[event.pointerType !== 'touch'], window:pointerup]"
        " > window:pointermove!",
        "zoom": "wheel![event.ctrlKey || event.metaKey]",
    }
    return {
        "name": "trials",
        "data": {"name": "trials"},
        "params": [{"name": "zoom", "select": zoom, "bind": "scales"}],
        "transform": [
            {"filter": "search && (isolated === null || datum.arm === isolated)"},
            {"filter": "isValid(datum.accuracy) && isValid(datum.parameters)"},
        ],
        "mark": {"type": "point", "clip": True, "size": 22, "strokeWidth": 0.8},
        "encoding": {
            "x": x,
            "y": y,
            **by_arm(run, "fill", "stroke", "shape"),
            "opacity": {
                "value": faintness(len(run.searched), 150, 0.45 if analysis.entries else 0.65)
            },
            "fillOpacity": {
                "condition": {"test": "datum.status === 'completed'", "value": 0.8},
                "value": 0,
            },
            "tooltip": tooltip(
                trial="title",
                status="search trial",
                knobs="knobs",
                accuracy="validation accuracy|.3f",
                parameters="trained parameters|,d",
                latency="latency, ms|.3~r",
            ),
        },
    }


def _entries(run: Run, x: Spec, y: Spec) -> list[Spec]:
    """Paper under the intervals, the intervals, paper under the signs, the signs, the seeds.

    Paper lets a mark stand out from a crowd.
    """
    source = {"data": {"name": "entries"}}
    paper = {"style": "under", "opacity": 0.85}
    ends = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    measured = {**source, "transform": [{"filter": "isValid(datum.low)"}]}
    rule = {"type": "rule", "clip": True, "strokeWidth": 1.6}
    point = {"type": "point", "size": 130, "strokeWidth": 2, "clip": True, "cursor": "pointer"}
    filled = [
        {"test": f"datum.place === '{name}'", "value": opacity}
        for name, opacity in _FILLED.items()
        if opacity
    ]
    return [
        {**measured, "mark": {**rule, **paper, "strokeWidth": 5}, "encoding": ends},
        {
            "name": "intervals",
            **measured,
            "mark": rule,
            "encoding": {**ends, **by_arm(run, "color"), "opacity": isolating(0.95)},
        },
        {
            **source,
            "mark": {**point, **paper, "filled": True, "size": 300},
            "encoding": {"x": x, "y": y, **by_arm(run, "shape"), "opacity": isolating(1, 0)},
        },
        {
            "name": "entries",
            **source,
            "mark": point,
            "encoding": {
                "x": x,
                "y": y,
                **by_arm(run, "fill", "stroke", "shape"),
                "fillOpacity": {"condition": filled, "value": 0},
                "opacity": isolating(1),
                "tooltip": tooltip(
                    trial="title",
                    knobs="knobs",
                    told="accuracy",
                    seeds="seeds",
                    parameters="trained parameters|,d",
                    latency="latency",
                    placed="place",
                ),
            },
        },
        {
            "name": "seeds",
            **source,
            "transform": [{"flatten": ["by_seed"], "as": ["accuracy"]}],
            "mark": {"type": "circle", "style": "seed", "size": 9, "clip": True},
            "encoding": {"x": x, "y": y, "opacity": isolating(0.75, 0)},
        },
    ]


def _names(style: str) -> Spec:
    """Names of arms beside their points where there is room: Vega's transform ``label``."""
    faded = "isolated === null || datum.datum.arm === isolated ? 1 : 0.15"
    return {
        "type": "text",
        "style": style,
        "interactive": False,
        "from": {"data": "entries_marks"},
        "encode": {
            "enter": {"text": {"field": "datum.name"}},
            "update": {"fillOpacity": {"signal": faded}, "strokeOpacity": {"signal": faded}},
        },
        "transform": [
            {
                "type": "label",
                "size": {"signal": "[width, height]"},
                "anchor": ["right", "left", "top-right", "bottom-right", "top-left", "bottom-left"],
                "offset": [6, 8],
                "padding": 0,
                "avoidMarks": ["note_marks", "front_marks"],
            }
        ],
    }


def domains(analysis: Analysis) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the axes: trained parameters; accuracy with intervals, seeds and guessing inside."""
    run, entries = analysis.run, analysis.entries
    drawn = [*completed(run.searched), *stopped_early(run.searched)]
    xs = [r.parameters.trained for r in drawn if r.parameters]
    xs += [entry.confirmed.trained_parameters for entry in entries]
    ys = [run.study.chance, *(r.accuracy.validation for r in drawn if r.accuracy)]
    for entry in entries:
        ys += (entry.accuracy.low, entry.accuracy.high, *entry.seeds.values)
    low_x, high_x = (min(xs), max(xs)) if xs else (1_000, 1_000_000)
    side = 10 ** max(0.25, math.log10(high_x / low_x) * 0.06)
    low, high = min(ys), max(ys)
    pad = max(0.02, (high - low) * 0.07)
    return (low_x / side, high_x * side), (max(0.0, low - pad), min(1.0, high + pad))


def entry_rows(analysis: Analysis) -> list[Spec]:
    """The tested candidates; before any test the best trial of each arm, on validation."""
    run = analysis.run
    if not analysis.entries:
        best = best_trials(in_order(run.study, run.searched))
        return [_untested(arm, record) for arm, record in best.items()]
    return [_row(entry) for entry in analysis.entries]


def _row(entry: Entry) -> Spec:
    accuracy, latency = entry.accuracy, entry.cost("inference_ms_p50")
    within = show.interval(accuracy.low, accuracy.high)
    front = show.probability(entry.front_probability)
    return {
        "arm": clean(entry.arm),
        "name": clean(entry.arm) if entry.rank is not None else "",
        "trial": clean(entry.confirmed.name),
        "knobs": clean(show.knobs(entry.confirmed.trial.values)),
        "accuracy": round(accuracy.value, 4),
        "low": round(accuracy.low, 4),
        "high": round(accuracy.high, 4),
        "told": f"{show.share(accuracy.value)} (95 %: {within})",
        "seeds": f"{len(entry.seeds.values)} of {len(entry.confirmed.seeds)}",
        "by_seed": [round(value, 4) for value in entry.seeds.values],
        "parameters": entry.confirmed.trained_parameters,
        "latency": None if latency is None else show.milliseconds(latency),
        "place": entry.place,
        "placed": f"{entry.place} (probability of front {front})",
    }


def _untested(arm: str, record: TrialRecord) -> Spec:
    assert record.accuracy is not None  # best_trials() are completed
    assert record.parameters is not None
    return {
        "arm": clean(arm),
        "name": clean(arm),
        "trial": clean(record.trial),
        "knobs": clean(show.knobs(record.values)),
        "accuracy": record.accuracy.validation,
        "told": f"{show.share(record.accuracy.validation)} on validation",
        "by_seed": [],
        "parameters": record.parameters.trained,
        "place": "front",
    }


def front_rows(analysis: Analysis) -> list[Spec]:
    """The step line of the front to the right edge: of tested candidates, else of the search."""
    tested = [
        (entry.confirmed.trained_parameters, entry.accuracy.value)
        for entry in analysis.entries
        if entry.on_front
    ]
    searched = points(analysis.run.searched)
    steps = sorted(tested or [(p.trained_parameters, p.accuracy) for p in searched if p.on_front])
    (_, right), _ = domains(analysis)
    ends = [(right, steps[-1][1])] if steps else []
    return [{"parameters": x, "accuracy": round(y, 4)} for x, y in (*steps, *ends)]


def pareto_picture(analysis: Analysis) -> Picture:
    """The chart, with every arm's name beside its point."""
    run, rows = analysis.run, entry_rows(analysis)
    crowded = sum(bool(row["name"]) for row in rows) > CROWD
    width, height = (2 * WIDTH - 68, 450) if crowded else (WIDTH - 68, 300)
    trials = [
        {
            "arm": clean(record.arm),
            "status": record.status.value,
            "accuracy": record.accuracy and record.accuracy.validation,
            "parameters": record.parameters and record.parameters.trained,
        }
        for record in in_order(run.study, run.searched)
    ]
    marks = [*_labels(analysis, rows, trials, width, height), *_key(analysis, height)]
    if not rows:
        marks.append(note("no completed trial", width / 2, height / 2, align="center"))
    return picture(
        run,
        pareto(analysis),
        "Accuracy against trained parameters",
        {"entries": rows, "front": front_rows(analysis), "trials": trials},
        marks=marks,
        width=width,
        height=height,
        autosize="pad",
    )


def _labels(
    analysis: Analysis,
    rows: Sequence[Spec],
    trials: Sequence[Spec],
    width: float,
    height: float,
) -> list[Spec]:
    """Names on paper of their own, with a line to those that had to go far."""
    (left, right), (low, high) = domains(analysis)

    def spot(parameters: float, accuracy: float) -> tuple[float, float]:
        x = width * math.log(parameters / left) / math.log(right / left)
        return x, height * (high - accuracy) / (high - low)

    obstacles = []
    for row in rows:
        x, y = spot(row["parameters"], row["accuracy"])
        obstacles.append(Box(x, y, x, y).padded(8))
        if "low" in row:
            top, bottom = (spot(left, row[end])[1] for end in ("high", "low"))
            obstacles.append(Box(x, top, x, bottom).padded(3))
    if len(trials) <= MANY:
        for trial in trials:
            if None not in (trial["parameters"], trial["accuracy"]):
                x, y = spot(trial["parameters"], trial["accuracy"])
                obstacles.append(Box(x, y, x, y).padded(3))
    corners = [spot(row["parameters"], row["accuracy"]) for row in front_rows(analysis)]
    for (x, y), (next_x, next_y) in pairwise(corners):
        obstacles.append(Box(x, y, next_x, y).padded(2))
        obstacles.append(Box(next_x, min(y, next_y), next_x, max(y, next_y)).padded(2))
    _, guess = spot(left, analysis.run.study.chance)
    obstacles.append(Box(width - 90, guess - 14, width, guess))
    named = sorted(
        (row for row in rows if row["name"]), key=lambda row: (row["parameters"], row["accuracy"])
    )
    texts = [short(row["name"], 20) for row in named]
    labels = [
        Label(*spot(row["parameters"], row["accuracy"]), text_width(text, 12), 12)
        for row, text in zip(named, texts, strict=True)
    ]
    spots = place(labels, obstacles, Box(0, 0, width, height))
    found = []
    for text, label, at_ in zip(texts, labels, spots, strict=True):
        if at_.far:
            ends_ = {"x": label.x, "y": label.y, "x2": at_.near_x, "y2": at_.near_y}
            found.append(fixed("rule", **ends_, stroke=PRINT["faint"], strokeWidth=0.8))
        where = {"x": at_.x, "y": at_.y, "align": "center", "baseline": "middle", "text": text}
        bold = {**where, "font": FONT, "fontSize": 12, "fontWeight": "bold"}
        paper = {"fill": PRINT["panel"], "stroke": PRINT["panel"], "strokeWidth": 4}
        found += [fixed("text", **bold, **paper), fixed("text", **bold, fill=PRINT["ink"])]
    return found


def _key(analysis: Analysis, height: float) -> list[Spec]:
    grey = {"shape": SHAPES[0], "stroke": PRINT["faint"], "fill": PRINT["faint"]}
    small = {**grey, "size": 26, "strokeWidth": 0.8, "opacity": 0.65}

    def large(filled: float) -> list[Spec]:
        return [sign("symbol", **grey, size=100, strokeWidth=2, fillOpacity=filled)]

    if analysis.entries:
        signs = {place: large(filled) for place, filled in _FILLED.items()}
        interval = sign("symbol", shape="M0,-1V1", size=150, stroke=PRINT["faint"], strokeWidth=1.6)
        signs["95 % interval"] = [interval]
        signs["one seed"] = [sign("symbol", size=9, fill=PRINT["ink"])]
        signs["search, validation: optimistic"] = [sign("symbol", **small)]
    else:
        signs = {"best trial of an arm": large(1), "other trials": [sign("symbol", **small)]}
    signs["Pareto front"] = [sign("rule", stroke=PRINT["ink"], strokeWidth=1.4)]
    if stopped_early(analysis.run.searched):
        signs["stopped early"] = [sign("symbol", **small, fillOpacity=0)]
    return key(signs, left=-40, top=height + 60)
