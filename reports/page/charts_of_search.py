"""Charts of the search as Vega-Lite specifications: curves, knobs and progress."""

from __future__ import annotations

from bench.records.study_record import Run
from reports.page.chart_parts import (
    ISOLATED,
    Chart,
    Spec,
    by_arm,
    faintness,
    guessing,
    isolating,
    layered,
    told,
)


def curves(run: Run, lines: int) -> Chart:
    """Validation accuracy by epoch of one arm: search trials faint, fresh seeds strong.

    Needs the source ``curves``. Epoch 0 is before training.

    Args:
        run: all records.
        lines: most trials of an arm that are drawn.
    """
    encoding = _epochs(run)
    return layered(
        guessing(run.study.chance, encoding["y"]),
        *(
            {
                "data": {"name": "curves"},
                "transform": [{"filter": f"datum.kind === '{kind}'"}],
                "mark": {"type": "line", "clip": True, "strokeWidth": width, "opacity": opacity},
                "encoding": encoding,
            }
            for kind, width, opacity in (
                ("search", 1, faintness(lines, 12, 0.4)),
                ("fresh seed", 1.8, 0.95),
            )
        ),
        height=150,
        sources=("curves",),
    )


def _epochs(run: Run) -> Spec:
    x: Spec = {
        "field": "epoch",
        "type": "quantitative",
        "scale": {"domain": [0, run.study.settings.epochs], "nice": False},
        "axis": {"title": "epoch", "format": "d", "tickMinStep": 1, "tickCount": 5, "grid": False},
    }
    y: Spec = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"domain": _reach(run), "nice": False},
        "axis": {"title": None, "format": ".2f", "tickCount": 4},
    }
    return {
        "x": x,
        "y": y,
        **by_arm(run, "color"),
        "detail": {"field": "trial", "type": "nominal"},
        "tooltip": told(trial="title", kind="of", best="best validation accuracy|.3f"),
    }


def _reach(run: Run) -> list[float]:
    """Ends of the axis on which every curve and guessing lie."""
    accuracies = [
        value
        for record in (*run.searched, *run.confirmed)
        if record.accuracy
        for value in (record.accuracy.before, *record.accuracy.per_epoch)
    ] + [run.study.chance]
    low, high = min(accuracies), max(accuracies)
    pad = max(0.01, (high - low) * 0.05)
    return [max(0.0, low - pad), min(1.0, high + pad)]


def knobs(lines: int) -> Chart:
    """Parallel coordinates of one arm's searched knobs, the last axis being its accuracy.

    Needs the sources ``lines`` (trial, axis, position 0 … 1, accuracy) and ``ticks`` (axis,
    position, label).

    Args:
        lines: most trials of an arm that are drawn.
    """
    x, y = _AXES, _POSITION
    return layered(
        *_threads(x, y, faintness(lines, 40, 0.8)),
        *(
            {
                "data": {"name": "ticks"},
                "mark": {"type": "text", "style": style, "align": "right", "dx": -7},
                "encoding": {"x": x, "y": y, "text": {"field": "label"}},
            }
            for style in ("halo", "tick")
        ),
        {
            "data": {"name": "ticks"},
            "mark": {"type": "tick", "style": "axes", "orient": "horizontal", "size": 8},
            "encoding": {"x": x, "y": y},
        },
        height=320,
        sources=("lines", "ticks"),
    )


_AXES: Spec = {
    "field": "axis",
    "type": "nominal",
    "sort": None,
    "scale": {"type": "point", "padding": 0.35},
    "axis": {
        "orient": "top",
        "title": None,
        "labelAngle": 0,
        "domain": False,
        "ticks": False,
        "labelPadding": 10,
        "grid": True,
        "style": "axes",
        "labelLimit": 160,
    },
}
_POSITION: Spec = {
    "field": "position",
    "type": "quantitative",
    "scale": {"domain": [-0.02, 1.02], "nice": False},
    "axis": None,
}
_HOVER: Spec = {
    "type": "point",
    "on": "pointerover",
    "clear": "pointerout",
    "fields": ["trial"],
    "toggle": False,
}


def _threads(x: Spec, y: Spec, opacity: float) -> list[Spec]:
    """The lines of the trials, and over them unseen wide ones that are easier to point at."""
    place = {"x": x, "y": y, "detail": {"field": "trial", "type": "nominal"}}
    line = {"type": "line", "strokeJoin": "round"}
    lit = {"param": "hovered", "empty": False}
    colour = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"range": "ramp", "zero": False, "nice": False},
        "legend": None,
    }
    seen = {
        "color": colour,
        "strokeWidth": {"condition": {**lit, "value": 4}, "value": 1.4},
        "opacity": {"condition": {**lit, "value": 1}, "value": opacity},
    }
    tooltip = told(trial="title", knobs="knobs", accuracy="validation accuracy|.3f")
    return [
        {"data": {"name": "lines"}, "mark": line, "encoding": {**place, **seen}},
        {
            "data": {"name": "lines"},
            "params": [{"name": "hovered", "select": _HOVER}],
            "mark": {**line, "strokeWidth": 7, "strokeOpacity": 0},
            "encoding": {**place, "tooltip": tooltip},
        },
    ]


def hypervolume(run: Run) -> Chart:
    """Hypervolume after so many trials, per arm and of all together.

    Needs the source ``hypervolume``: arm, or "" for all, n and value.
    """
    x, y = _count("trials per arm"), _figure("hypervolume")
    step: Spec = {"type": "line", "interpolate": "step-after"}
    everything: Spec = {
        "data": {"name": "hypervolume"},
        "transform": [{"filter": "datum.arm === ''"}],
        "mark": {**step, "style": "front", "strokeWidth": 2.2},
        "encoding": {"x": x, "y": y},
    }
    return layered(
        _arms(run, "hypervolume", step, x, y),
        everything,
        height=240,
        params=[ISOLATED],
        sources=("hypervolume",),
    )


def expected(run: Run) -> Chart:
    """Expected best accuracy of so many random trials, per arm. Needs the source ``expected``."""
    x, y = _count("random trials"), _figure("expected best accuracy")
    lines = _arms(run, "expected", {"type": "line"}, x, y)
    return layered(lines, height=240, params=[ISOLATED], sources=("expected",))


def _count(title: str) -> Spec:
    return {
        "field": "n",
        "type": "quantitative",
        "scale": {"nice": False, "zero": False},
        "axis": {"title": title, "format": ",d", "tickMinStep": 1, "tickCount": 8, "grid": False},
    }


def _figure(title: str) -> Spec:
    return {
        "field": "value",
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": {"title": title, "format": ".2f", "tickCount": 5},
    }


def _arms(run: Run, source: str, line: Spec, x: Spec, y: Spec) -> Spec:
    return {
        "data": {"name": source},
        "transform": [{"filter": "datum.arm !== ''"}],
        "mark": {**line, "strokeWidth": 1.6},
        "encoding": {
            "x": x,
            "y": y,
            **by_arm(run, "color"),
            "opacity": isolating(0.95, 0.1),
            "tooltip": told(arm="title"),
        },
    }
