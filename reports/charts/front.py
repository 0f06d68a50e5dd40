"""The chart of accuracy against trained parameters: candidates, their front, and the search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis, Entry
from reports.charts import vega
from reports.charts.labels import Box, Label, place, text_width
from reports.charts.picture import WIDTH, Picture, fixed, key, note, picture, short
from reports.charts.style import FONT, PRINT, SHAPES
from reports.charts.vega import Chart, Spec
from reports.front import points
from reports.page.text import clean
from reports.standings import best_trials, completed, in_order, stopped_early

CROWD = 8
"""Most arms whose names fit into one column; with more the picture is two columns wide."""

MANY = 150
"""Most trials of the search that are drawn at full strength, and that names keep clear of."""

_FILLED = {"front": 1.0, "ambiguous": 0.4, "dominated": 0.0}
"""How much of its colour a candidate's sign has, by its place."""


def pareto(analysis: Analysis) -> Chart:
    """Test accuracy of the candidates against trained parameters, over the trials of the search.

    Needs the sources ``entries``, ``front`` and ``trials``.
    """
    run = analysis.run
    chance, (x_ends, y_ends) = run.study.chance, domains(analysis)
    title = f"accuracy (share of {run.study.words.examples})"
    title = title if analysis.entries else f"validation {title}"
    y = vega.share("accuracy", title, domain=list(y_ends), nice=False)
    point = {"x": _parameters(x_ends), "y": y}
    note = {"type": "text", "style": "note", "align": "right", "dy": -7}
    said: Spec = {"x": {"value": "width"}, "y": vega.at(chance, y)}
    said["text"] = {"value": f"guessing {chance:.3f}"}
    line = {"type": "line", "style": "front", "interpolate": "step-after", "clip": True}
    halo, *above = _entries(run, point)
    return vega.chart(
        vega.guessing(chance, y),
        vega.layer("", note, said, name="note"),
        _search(analysis, point),
        halo,
        vega.layer("front", line, point, name="front"),
        *above,
        height=460,
        params=[vega.ISOLATED, {"name": "search", "value": True}],
        marks=(_names("halo-name"), _names("name")),
    )


def _parameters(ends: Sequence[float]) -> Spec:
    # Only powers of ten get a line: all would be too many.
    power = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
    axis = {
        "title": "trained parameters, head included (logarithmic)",
        "format": "~s",
        "tickCount": 6 if math.log10(ends[1] / ends[0]) > 2 else 4,
        "labelOverlap": "greedy",
        "gridOpacity": {"condition": {"test": power, "value": 1}, "value": 0},
        "tickOpacity": {"condition": {"test": power, "value": 1}, "value": 0.4},
    }
    return vega.number("parameters", axis, type="log", domain=list(ends), nice=False)


def _search(analysis: Analysis, point: Spec) -> Spec:
    run = analysis.run
    drag = "[pointerdown[event.pointerType !== 'touch'], window:pointerup] > window:pointermove!"
    zoom = {"type": "interval", "translate": drag, "zoom": "wheel![event.ctrlKey || event.metaKey]"}
    strength = vega.faintness(len(run.searched), MANY, 0.55 if analysis.entries else 0.65)
    whole = {"test": "datum.status === 'completed'", "value": round(0.8 * strength, 3)}
    encoding = {
        **point,
        **vega.by_arm(run, "fill", "stroke", "shape"),
        "strokeOpacity": {"value": strength},
        "fillOpacity": {"condition": whole, "value": 0},
        "tooltip": vega.tooltip(
            trial="title",
            status="search trial",
            knobs="knobs",
            accuracy="validation accuracy|.3f",
            parameters="trained parameters|,d",
            latency="latency, ms|.3~r",
        ),
    }
    return vega.layer(
        "trials",
        {"type": "point", "clip": True, "size": 22, "strokeWidth": 0.8},
        encoding,
        name="trials",
        where="search && (isolated === null || datum.arm === isolated)"
        " && isValid(datum.accuracy) && isValid(datum.parameters)",
        params=[{"name": "zoom", "select": zoom, "bind": "scales"}],
    )


def _entries(run: Run, point: Spec) -> list[Spec]:
    """Paper under the intervals, the intervals, paper under the signs, the signs, the seeds.

    Paper lets a mark stand out from a crowd.
    """
    ends = {"x": point["x"], "y": {**point["y"], "field": "low"}, "y2": {"field": "high"}}
    ends_of_arms = {**ends, **vega.by_arm(run, "color"), "opacity": vega.isolating(0.95)}
    rule = {"type": "rule", "clip": True, "strokeWidth": 1.6}
    sign = {"type": "point", "size": 130, "strokeWidth": 2, "clip": True, "cursor": "pointer"}
    paper = {"style": "under"}
    filled = [{"test": f"datum.place === '{name}'", "value": v} for name, v in _FILLED.items()]
    signs = {
        **point,
        **vega.by_arm(run, "fill", "stroke", "shape"),
        "fillOpacity": {"condition": filled, "value": 0},
        "opacity": vega.isolating(1),
        "tooltip": vega.tooltip(
            trial="title",
            knobs="knobs",
            told="accuracy",
            seeds="seeds",
            parameters="trained parameters|,d",
            latency="latency",
            placed="place",
        ),
    }
    under = {**point, **vega.by_arm(run, "shape"), "opacity": vega.isolating(1, 0)}
    dot = {"type": "circle", "style": "measured", "size": 9, "clip": True}
    seeds = vega.layer("entries", dot, {**point, "opacity": vega.isolating(0.75, 0)}, name="seeds")
    known = "isValid(datum.low)"
    return [
        vega.layer("entries", {**rule, **paper, "strokeWidth": 5}, ends, where=known),
        vega.layer("entries", rule, ends_of_arms, where=known, name="intervals"),
        vega.layer("entries", {**sign, **paper, "filled": True, "size": 300}, under),
        vega.layer("entries", sign, signs, name="entries"),
        {**seeds, "transform": [{"flatten": ["by_seed"], "as": ["accuracy"]}]},
    ]


def _names(style: str) -> Spec:
    """Names of arms beside their points where there is room: Vega's transform ``label``."""
    faded = {"signal": "isolated === null || datum.datum.arm === isolated ? 1 : 0.15"}
    room = {
        "type": "label",
        "size": {"signal": "[width, height]"},
        "anchor": ["right", "left", "top-right", "bottom-right", "top-left", "bottom-left"],
        "offset": [6, 8],
        "padding": 0,
        "avoidMarks": ["note_marks", "front_marks"],
    }
    return {
        "type": "text",
        "style": style,
        "interactive": False,
        "from": {"data": "entries_marks"},
        "encode": {
            "enter": {"text": {"field": "datum.name"}},
            "update": {"fillOpacity": faded, "strokeOpacity": faded},
        },
        "transform": [room],
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
    if analysis.entries:
        return [_row(entry) for entry in analysis.entries]
    return [_untested(one) for one in best_trials(in_order(run.study, run.searched)).values()]


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


def _untested(record: TrialRecord) -> Spec:
    assert record.accuracy is not None  # best_trials() are completed
    accuracy = record.accuracy.validation
    return {
        **_trial(record),
        "name": clean(record.arm),
        "trial": clean(record.trial),
        "knobs": clean(show.knobs(record.values)),
        "told": f"{show.share(accuracy)} on validation",
        "by_seed": [],
        "place": "front",
    }


def _trial(record: TrialRecord) -> Spec:
    """A trial of the search as the picture shows it."""
    return {
        "arm": clean(record.arm),
        "status": record.status.value,
        "accuracy": record.accuracy.validation if record.accuracy else None,
        "parameters": record.parameters.trained if record.parameters else None,
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
    run, entries = analysis.run, entry_rows(analysis)
    crowded = sum(bool(row["name"]) for row in entries) > CROWD
    width, height = (2 * WIDTH - 68, 450) if crowded else (WIDTH - 68, 300)
    trials = [_trial(record) for record in in_order(run.study, run.searched)]
    data = {"entries": entries, "front": front_rows(analysis), "trials": trials}
    marks = [*_labels(analysis, data, width, height), *_key(analysis, height)]
    if not entries:
        marks.append(note("no completed trial", width / 2, height / 2, align="center"))
    return picture(
        run,
        pareto(analysis),
        "Accuracy against trained parameters",
        data,
        marks=marks,
        width=width,
        height=height,
        autosize="pad",
    )


def _labels(
    analysis: Analysis, data: dict[str, list[Spec]], width: float, height: float
) -> list[Spec]:
    """Names on paper of their own, with a line to those that had to go far."""
    (left, right), (low, high) = domains(analysis)

    def spot(row: Spec, of: str = "accuracy") -> tuple[float, float]:
        x = width * math.log(row["parameters"] / left) / math.log(right / left)
        return x, height * (high - row[of]) / (high - low)

    entries, trials = data["entries"], data["trials"]
    obstacles = [Box(*spot(row), *spot(row)).padded(8) for row in entries]
    obstacles += [
        Box(*spot(row, "high"), *spot(row, "low")).padded(3) for row in entries if "low" in row
    ]
    if len(trials) <= MANY:
        drawn = [row for row in trials if None not in row.values()]
        obstacles += [Box(*spot(row), *spot(row)).padded(3) for row in drawn]
    for (x, y), (next_x, next_y) in pairwise(map(spot, data["front"])):
        obstacles.append(Box(x, y, next_x, y).padded(2))
        obstacles.append(Box(next_x, min(y, next_y), next_x, max(y, next_y)).padded(2))
    _, guess = spot({"parameters": left, "accuracy": analysis.run.study.chance})
    obstacles.append(Box(width - 90, guess - 14, width, guess))
    named = sorted((spot(row), short(row["name"], 20)) for row in entries if row["name"])
    labels = [Label(*where, text_width(text, 12), 12) for where, text in named]
    spots = place(labels, obstacles, Box(0, 0, width, height))
    found = []
    for (_, text), label, to in zip(named, labels, spots, strict=True):
        if to.far:
            ends = {"x": label.x, "y": label.y, "x2": to.near_x, "y2": to.near_y}
            found.append(fixed("rule", **ends, stroke=PRINT["faint"], strokeWidth=0.8))
        bold = {"text": text, "font": FONT, "fontSize": 12, "fontWeight": "bold"}
        bold |= {"x": to.x, "y": to.y, "align": "center", "baseline": "middle"}
        paper = {"fill": PRINT["panel"], "stroke": PRINT["panel"], "strokeWidth": 4}
        found += [fixed("text", **bold, **paper), fixed("text", **bold, fill=PRINT["ink"])]
    return found


def _key(analysis: Analysis, height: float) -> list[Spec]:
    grey = {"shape": SHAPES[0], "stroke": PRINT["faint"], "fill": PRINT["faint"]}
    small = {**grey, "size": 26, "strokeWidth": 0.8, "opacity": 0.65}
    large = {
        name: fixed("symbol", **grey, size=100, strokeWidth=2, fillOpacity=filled)
        for name, filled in _FILLED.items()
    }
    upright = {"shape": "M0,-1V1", "size": 150, "stroke": PRINT["faint"], "strokeWidth": 1.6}
    if analysis.entries:
        signs = {
            **large,
            "95 % interval": fixed("symbol", **upright),
            "one seed": fixed("symbol", size=9, fill=PRINT["ink"]),
            "search, validation: optimistic": fixed("symbol", **small),
        }
    else:
        best = large["front"]
        signs = {"best trial of an arm": best, "other trials": fixed("symbol", **small)}
    signs["Pareto front"] = fixed("rule", stroke=PRINT["ink"], strokeWidth=1.4)
    if stopped_early(analysis.run.searched):
        signs["stopped early"] = fixed("symbol", **small, fillOpacity=0)
    return key(signs, left=-40, top=height + 60)
