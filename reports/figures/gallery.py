"""Which figures a report has, and all of them drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reports.analysis import Analysis
from reports.figures.comparison import pairwise_figure, seeds_figure
from reports.figures.pareto import pareto_figure
from reports.figures.search import (
    expected_best_figure,
    hypervolume_figure,
    learning_curves,
    learning_figure,
)
from reports.figures.style import Pictures
from reports.figures.timing import timed_rows, timing_figure


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure of the report.

    Attributes:
        draw: draws it.
        has_data: whether there is anything to draw.
    """

    draw: Callable[[Analysis], Pictures]
    has_data: Callable[[Analysis], object]


DRAWINGS = {
    "pareto": Drawing(draw=pareto_figure, has_data=lambda analysis: True),
    "seeds": Drawing(draw=seeds_figure, has_data=lambda analysis: analysis.leaders),
    "pairwise": Drawing(draw=pairwise_figure, has_data=lambda analysis: analysis.pairs),
    "learning": Drawing(draw=learning_figure, has_data=learning_curves),
    "timing": Drawing(draw=timing_figure, has_data=timed_rows),
    "hypervolume": Drawing(
        draw=hypervolume_figure, has_data=lambda analysis: analysis.hypervolume_by_trial
    ),
    "expected_best": Drawing(
        draw=expected_best_figure, has_data=lambda analysis: analysis.expected_best
    ),
}
"""All figures by the name of their files; the first is in every report."""


def drawn(analysis: Analysis) -> list[str]:
    """Names of the figures that a run has the data for."""
    return [name for name, drawing in DRAWINGS.items() if drawing.has_data(analysis)]


def gallery(analysis: Analysis) -> dict[str, Pictures]:
    """Every figure a run has the data for, by the name of its files."""
    return {name: DRAWINGS[name].draw(analysis) for name in drawn(analysis)}
