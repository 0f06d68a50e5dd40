"""The chart of accuracy against trained parameters as a Vega-Lite specification."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.records.study_record import Run, TaskWords
from reports.analysis import Analysis
from reports.page.chart_parts import (
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
    share_axis,
    told,
)
from reports.standings import completed, stopped_early


def pareto(analysis: Analysis) -> Chart:
    """Test accuracy of the candidates against trained parameters, over the trials of the search.

    Needs the sources ``entries``, ``front`` and ``trials``.
    """
    run = analysis.run
    x_axis, y_axis = domains(analysis)
    x = _parameters(x_axis)
    y = _accuracy("accuracy", y_axis, run.study.words)
    halo, interval = _intervals(run, x, y_axis)
    line = {"type": "line", "style": "front", "interpolate": "step-after", "clip": True}
    return layered(
        guessing(run.study.chance, y),
        _note(run.study.chance, y),
        _search(run, x, y),
        halo,
        {"name": "front", "data": {"name": "front"}, "mark": line, "encoding": {"x": x, "y": y}},
        interval,
        *_entries(run, x, y),
        height=460,
        params=[ISOLATED, {"name": "search", "value": True}],
        sources=("entries", "front", "trials"),
        marks=(_names("halo-name"), _names("name")),
    )


def _note(chance: float, y: Spec) -> Spec:
    return {
        "name": "note",
        "data": ONCE,
        "mark": {"type": "text", "style": "note", "align": "right", "dy": -7},
        "encoding": {
            "x": {"value": "width"},
            "y": at(chance, y),
            "text": {"value": f"guessing {chance:.3f}"},
        },
    }


_POWER = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
"""Whether an axis is at a power of ten: the others would be too many lines."""


def _parameters(domain: Sequence[float]) -> Spec:
    decades = math.log10(domain[1] / domain[0])
    axis = {
        "title": "trained parameters, head included (logarithmic)",
        "format": "~s",
        "tickCount": 6 if decades > 2 else 4,
        "labelOverlap": "greedy",
        "gridOpacity": {"condition": {"test": _POWER, "value": 1}, "value": 0},
        "tickOpacity": {"condition": {"test": _POWER, "value": 1}, "value": 0.4},
    }
    return {
        "field": "parameters",
        "type": "quantitative",
        "scale": {"type": "log", "domain": list(domain), "nice": False},
        "axis": axis,
    }


def _accuracy(name: str, domain: Sequence[float], words: TaskWords) -> Spec:
    return {
        "field": name,
        "type": "quantitative",
        "scale": {"domain": list(domain), "zero": False, "nice": False},
        "axis": share_axis(f"accuracy (share of {words.examples})"),
    }


def _search(run: Run, x: Spec, y: Spec) -> Spec:
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
            "opacity": {"value": faintness(len(run.searched), 150, 0.65)},
            "fillOpacity": {
                "condition": {"test": "datum.status === 'completed'", "value": 0.8},
                "value": 0,
            },
            "tooltip": told(
                trial="title",
                status="search trial",
                knobs="knobs",
                accuracy="validation accuracy|.3f",
                parameters="trained parameters|,d",
                latency="latency, ms|.3~r",
            ),
        },
    }


_HALO: Spec = {"style": "under", "opacity": 0.85}
"""Paper under a mark, so that it stands out from a crowd."""


def _intervals(run: Run, x: Spec, limits: Sequence[float]) -> list[Spec]:
    ends = {"x": x, "y": _accuracy("low", limits, run.study.words), "y2": {"field": "high"}}
    rule = {"type": "rule", "clip": True, "strokeWidth": 1.6}
    coloured = {**ends, **by_arm(run, "color"), "opacity": isolating(0.95)}
    return [
        {
            "data": {"name": "entries"},
            "mark": {**rule, **_HALO, "strokeWidth": 5},
            "encoding": ends,
        },
        {"data": {"name": "entries"}, "mark": rule, "encoding": coloured},
    ]


def _entries(run: Run, x: Spec, y: Spec) -> list[Spec]:
    place = {"x": x, "y": y}
    point = {"type": "point", "size": 130, "strokeWidth": 2, "clip": True, "cursor": "pointer"}
    filled = [
        {"test": f"datum.place === '{name}'", "value": opacity}
        for name, opacity in (("front", 1), ("ambiguous", 0.4))
    ]
    tooltip = told(
        trial="title",
        knobs="knobs",
        told="test accuracy",
        seeds="seeds",
        parameters="trained parameters|,d",
        latency="latency",
        placed="place",
    )
    return [
        {
            "data": {"name": "entries"},
            "mark": {**point, **_HALO, "filled": True, "size": 300},
            "encoding": {**place, **by_arm(run, "shape"), "opacity": isolating(1, 0)},
        },
        {
            "name": "entries",
            "data": {"name": "entries"},
            "mark": point,
            "encoding": {
                **place,
                **by_arm(run, "fill", "stroke", "shape"),
                "fillOpacity": {"condition": filled, "value": 0},
                "opacity": isolating(1),
                "tooltip": tooltip,
            },
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
    """Ends of the axes: trained parameters, and accuracy with all intervals and guessing inside."""
    run = analysis.run
    drawn = [*completed(run.searched), *stopped_early(run.searched)]
    entries = analysis.entries
    xs = [r.parameters.trained for r in drawn if r.parameters]
    xs += [entry.confirmed.trained_parameters for entry in entries]
    ys = [r.accuracy.validation for r in drawn if r.accuracy]
    ys += [end for entry in entries for end in (entry.accuracy.low, entry.accuracy.high)]
    low_x, high_x = (min(xs), max(xs)) if xs else (1_000, 1_000_000)
    side = 10 ** max(0.25, math.log10(high_x / low_x) * 0.06)
    low, high = min([*ys, run.study.chance]), max([*ys, run.study.chance])
    pad = max(0.02, (high - low) * 0.07)
    return (low_x / side, high_x * side), (max(0.0, low - pad), min(1.0, high + pad))
