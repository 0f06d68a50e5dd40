"""The chart of an arm's searched knobs as parallel coordinates."""

from __future__ import annotations

from reports.charts import vega
from reports.charts.vega import Chart, Spec


def knobs(lines: int) -> Chart:
    """Parallel coordinates of one arm's searched knobs, the last axis being its accuracy.

    Needs the sources ``lines`` (trial, axis, position 0 … 1, accuracy) and ``ticks`` (axis,
    position, label).

    Args:
        lines: most trials of an arm that are drawn.
    """
    axis = {"orient": "top", "title": None, "labelAngle": 0, "domain": False, "ticks": False}
    axis |= {"labelPadding": 10, "grid": True, "style": "axes", "labelLimit": 160}
    x: Spec = {"field": "axis", "type": "nominal", "sort": None, "axis": axis}
    x["scale"] = {"type": "point", "padding": 0.35}
    place = {"x": x, "y": vega.number("position", None, domain=[-0.02, 1.02], nice=False)}
    tick = {"type": "tick", "style": "axes", "orient": "horizontal", "size": 8}
    label = {"type": "text", "align": "right", "dx": -7}
    return vega.chart(
        *_threads(place, vega.faintness(lines, 40, 0.8)),
        *(
            vega.layer("ticks", {**label, "style": style}, {**place, "text": {"field": "label"}})
            for style in ("halo", "note")
        ),
        vega.layer("ticks", tick, place),
        height=320,
    )


def _threads(place: Spec, opacity: float) -> list[Spec]:
    """The lines of the trials, and over them unseen wide ones that are easier to point at."""
    place = {**place, "detail": {"field": "trial", "type": "nominal"}}
    line = {"type": "line", "strokeJoin": "round"}
    hover = {"type": "point", "on": "pointerover", "clear": "pointerout", "fields": ["trial"]}
    lit = {"param": "hovered", "empty": False}
    ramp = {"range": "ramp", "zero": False, "nice": False}
    colour = {"field": "accuracy", "type": "quantitative", "scale": ramp, "legend": None}
    seen = {
        "color": colour,
        "strokeWidth": {"condition": {**lit, "value": 4}, "value": 1.4},
        "opacity": {"condition": {**lit, "value": 1}, "value": opacity},
    }
    told = vega.tooltip(trial="title", knobs="knobs", accuracy="validation accuracy|.3f")
    return [
        vega.layer("lines", line, {**place, **seen}),
        vega.layer(
            "lines",
            {**line, "strokeWidth": 7, "strokeOpacity": 0},
            {**place, "tooltip": told},
            params=[{"name": "hovered", "select": {**hover, "toggle": False}}],
        ),
    ]
