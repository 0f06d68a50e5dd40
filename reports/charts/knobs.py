"""The chart of an arm's searched knobs as parallel coordinates."""

from __future__ import annotations

from reports.charts.chart import Chart, Spec, faintness, layered, tooltip


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
    told = tooltip(trial="title", knobs="knobs", accuracy="validation accuracy|.3f")
    return [
        {"data": {"name": "lines"}, "mark": line, "encoding": {**place, **seen}},
        {
            "data": {"name": "lines"},
            "params": [{"name": "hovered", "select": _HOVER}],
            "mark": {**line, "strokeWidth": 7, "strokeOpacity": 0},
            "encoding": {**place, "tooltip": told},
        },
    ]
