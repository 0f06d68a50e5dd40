"""Which charts a report has: those of the page, and those that are files of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reports.analysis import Analysis
from reports.charts.comparison import pairs_picture, seeds_picture
from reports.charts.cost import PANELS, cost, timed_rows, timing_picture
from reports.charts.front import pareto, pareto_picture
from reports.charts.learning import curves, learning_curves, learning_picture
from reports.charts.picture import Picture
from reports.charts.search import (
    expected,
    expected_picture,
    hypervolume,
    hypervolume_picture,
    knobs,
)
from reports.charts.vega import Chart


def page_charts(analysis: Analysis, lines: int) -> dict[str, Chart]:
    """The charts of the page by name; those without data are left out.

    Args:
        analysis: the run.
        lines: most trials of an arm that are drawn as lines.
    """
    run = analysis.run
    found = {"pareto": pareto(analysis), "curves": curves(run, lines), "knobs": knobs(lines)}
    if analysis.hypervolume_by_trial:
        found["hypervolume"] = hypervolume(analysis)
    if analysis.expected_best:
        found["expected"] = expected(analysis)
    return found | {f"cost-{panel.name}": cost(analysis, panel) for panel in PANELS}


class Drawing(NamedTuple):
    """A picture of the report: what draws it, and whether there is anything to draw."""

    draw: Callable[[Analysis], Picture]
    has_data: Callable[[Analysis], object]


DRAWINGS = {
    "pareto": Drawing(pareto_picture, lambda analysis: True),
    "seeds": Drawing(seeds_picture, lambda analysis: analysis.leaders),
    "pairwise": Drawing(pairs_picture, lambda analysis: analysis.pairs),
    "learning": Drawing(learning_picture, learning_curves),
    "timing": Drawing(timing_picture, timed_rows),
    "hypervolume": Drawing(hypervolume_picture, lambda analysis: analysis.hypervolume_by_trial),
    "expected_best": Drawing(expected_picture, lambda analysis: analysis.expected_best),
}
"""All pictures by the name of their files; the first is in every report."""


def picture_names(analysis: Analysis) -> list[str]:
    """Names of the pictures that a run has the data for."""
    return [name for name, drawing in DRAWINGS.items() if drawing.has_data(analysis)]


def pictures(analysis: Analysis) -> dict[str, Picture]:
    """Every picture a run has the data for, by the name of its files."""
    return {name: DRAWINGS[name].draw(analysis) for name in picture_names(analysis)}
