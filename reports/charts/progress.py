"""The charts of how the search went on: hypervolume, and expected best, against trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.analysis import Analysis
from reports.charts.chart import ISOLATED, Chart, Spec, by_arm, isolating, layered, share, tooltip
from reports.charts.picture import Picture, picture
from reports.page.text import clean


def hypervolume(analysis: Analysis) -> Chart:
    """Hypervolume of the search, on validation, after so many trials: per arm and of all together.

    Needs the source ``hypervolume``: arm, or "" for all, n and value.
    """
    curves = analysis.hypervolume_by_trial
    x, y = _trials("trials per arm (logarithmic)", curves), _value("hypervolume, on validation")
    together: Spec = {
        "data": {"name": "hypervolume"},
        "transform": [{"filter": "datum.arm === ''"}],
        "mark": {"type": "line", "interpolate": "step-after", "style": "front", "strokeWidth": 2.2},
        "encoding": {"x": x, "y": y},
    }
    lines, marks = _arms(analysis, "hypervolume", "step-after", x, y)
    return layered(lines, together, marks, height=240, params=[ISOLATED], sources=("hypervolume",))


def expected(analysis: Analysis) -> Chart:
    """Validation accuracy to be expected of the best of so many random trials, per arm.

    Needs the source ``expected``.
    """
    x = _trials("random trials (logarithmic)", analysis.expected_best)
    y = _value("validation accuracy, expected")
    layers = _arms(analysis, "expected", "linear", x, y)
    return layered(*layers, height=240, params=[ISOLATED], sources=("expected",))


def _trials(title: str, curves: Mapping[str, Sequence[float]]) -> Spec:
    """An axis on which 1, 2, 4, 8 … trials are equally far apart."""
    longest = max(map(len, curves.values()), default=1)
    powers = [2**power for power in range(longest.bit_length())]
    return {
        "field": "n",
        "type": "quantitative",
        "scale": {"type": "log", "base": 2, "nice": False, "padding": 8},
        "axis": {"title": title, "format": ",d", "values": powers},
    }


def _value(title: str) -> Spec:
    return share("value", title)


def _arms(analysis: Analysis, source: str, interpolate: str, x: Spec, y: Spec) -> list[Spec]:
    """The arms' lines, and their signs at 1, 2, 4, 8 … trials."""
    place = {"x": x, "y": y, "tooltip": tooltip(arm="title")}
    shown = isolating(0.95, 0.1)
    arms: Spec = {"data": {"name": source}, "transform": [{"filter": "datum.arm !== ''"}]}
    doubled = {"filter": "datum.arm !== '' && (datum.n & (datum.n - 1)) === 0"}
    return [
        {
            **arms,
            "mark": {"type": "line", "interpolate": interpolate, "strokeWidth": 1.6},
            "encoding": {**place, **by_arm(analysis.run, "color"), "strokeOpacity": shown},
        },
        {
            **arms,
            "transform": [doubled],
            "mark": {"type": "point", "filled": True, "size": 36},
            "encoding": {**place, **by_arm(analysis.run, "color", "shape"), "opacity": shown},
        },
    ]


def hypervolume_picture(analysis: Analysis) -> Picture:
    """The chart of hypervolume."""
    curves = analysis.hypervolume_by_trial
    title = "Hypervolume of the search (black: all arms)"
    return _picture(analysis, hypervolume(analysis), title, curves)


def expected_picture(analysis: Analysis) -> Picture:
    """The chart of the expected best."""
    title = "Expected best of n random trials"
    return _picture(analysis, expected(analysis), title, analysis.expected_best)


def _picture(
    analysis: Analysis, chart: Chart, title: str, curves: Mapping[str, Sequence[float]]
) -> Picture:
    rows = [
        {"arm": clean(arm), "n": n, "value": value}
        for arm, values in curves.items()
        for n, value in enumerate(values, 1)
    ]
    (source,) = chart.sources
    return picture(analysis.run, chart, title, {source: rows}, arms=[*filter(None, curves)])
