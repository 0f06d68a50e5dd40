"""The charts of the search: its progress against trials, and the knobs that were searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from bench.records.study_record import Run
from reports.analysis import Analysis
from reports.charts import vega
from reports.charts.picture import Picture, picture
from reports.charts.vega import Chart, Spec
from reports.page.text import clean

Curves: TypeAlias = Mapping[str, Sequence[float]]
"""Figures after 1, 2, … trials, per arm."""


def hypervolume(analysis: Analysis) -> Chart:
    """Hypervolume of the search, on validation, after so many trials: per arm and of all together.

    Needs the source ``hypervolume``: arm, or "" for all, n and value.
    """
    x = _trials("trials per arm (logarithmic)", analysis.hypervolume_by_trial)
    place = {"x": x, "y": vega.share("value", "hypervolume, on validation")}
    step: Spec = {"type": "line", "interpolate": "step-after"}
    together = {**step, "style": "front", "strokeWidth": 2.2}
    lines, signs = _arms(analysis.run, "hypervolume", step, place)
    whole = vega.layer("hypervolume", together, place, where="datum.arm === ''")
    return vega.chart(lines, whole, signs, height=240, params=[vega.ISOLATED])


def expected(analysis: Analysis) -> Chart:
    """Validation accuracy to be expected of the best of so many random trials, per arm.

    Needs the source ``expected``.
    """
    x = _trials("random trials (logarithmic)", analysis.expected_best)
    place = {"x": x, "y": vega.share("value", "validation accuracy, expected")}
    layers = _arms(analysis.run, "expected", {"type": "line"}, place)
    return vega.chart(*layers, height=240, params=[vega.ISOLATED])


def _trials(title: str, curves: Curves) -> Spec:
    """An axis on which 1, 2, 4, 8 … trials are equally far apart."""
    longest = max(map(len, curves.values()), default=1)
    powers = [2**power for power in range(longest.bit_length())]
    axis = {"title": title, "format": ",d", "values": powers}
    return vega.number("n", axis, type="log", base=2, nice=False, padding=8)


def _arms(run: Run, source: str, line: Spec, place: Spec) -> list[Spec]:
    """The arms' lines, and their signs at 1, 2, 4, 8 … trials."""
    one, shown = "datum.arm !== ''", vega.isolating(0.95, 0.1)
    place = {**place, "tooltip": vega.tooltip(arm="title")}
    lines = {**place, **vega.by_arm(run, "color"), "strokeOpacity": shown}
    signs = {**place, **vega.by_arm(run, "color", "shape"), "opacity": shown}
    sign = {"type": "point", "filled": True, "size": 36}
    doubled = f"{one} && (datum.n & (datum.n - 1)) === 0"
    return [
        vega.layer(source, {**line, "strokeWidth": 1.6}, lines, where=one),
        vega.layer(source, sign, signs, where=doubled),
    ]


def hypervolume_picture(analysis: Analysis) -> Picture:
    title = "Hypervolume of the search (black: all arms)"
    return _picture(analysis, hypervolume(analysis), title, analysis.hypervolume_by_trial)


def expected_picture(analysis: Analysis) -> Picture:
    title = "Expected best of n random trials"
    return _picture(analysis, expected(analysis), title, analysis.expected_best)


def _picture(analysis: Analysis, drawn: Chart, title: str, curves: Curves) -> Picture:
    rows = [
        {"arm": clean(arm), "n": n, "value": value}
        for arm, values in curves.items()
        for n, value in enumerate(values, 1)
    ]
    (source,) = drawn.sources
    return picture(analysis.run, drawn, title, {source: rows}, arms=[*filter(None, curves)])


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
