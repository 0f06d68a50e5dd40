"""Figures of how accuracy came about: over epochs, over trials, against budget."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from bench.records.trial_record import TrialRecord
from reports.analysis import Analysis
from reports.figures.style import (
    FAINT,
    INK,
    Look,
    Pictures,
    arm_legend,
    arm_legend_height,
    looks,
    pictures,
    sheet,
    show_shares,
)
from reports.leaderboard import rows

HEIGHT = 2.6
"""Of these figures without their legends, in inches."""


def learning_figure(analysis: Analysis) -> Pictures:
    """Validation accuracy over epochs of each arm's chosen configuration, seed by seed."""
    curves, known = learning_curves(analysis), looks(analysis.run)
    title, height = "Learning curves of the chosen configurations", _height(curves)
    with sheet(analysis.run, title, height) as figure:
        axes = _frame(figure, "epoch (0: before training)", "validation accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.axhline(analysis.run.study.chance, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
        for arm, seeds in curves.items():
            for curve in seeds:
                axes.plot(curve, color=known[arm].colour, linewidth=0.5, alpha=0.4)
            mean = [statistics.fmean(values) for values in zip(*seeds, strict=False)]
            axes.plot(mean, **_line(known[arm], len(mean)))
        arm_legend(figure, curves, analysis.run)
        return pictures(figure)


def learning_curves(analysis: Analysis) -> dict[str, list[list[float]]]:
    """Accuracy before training and after each epoch, per arm and seed, best arm first.

    Of the runs on fresh seeds; of the chosen trial where there are none.
    """
    found = {}
    for row in rows(analysis):
        again = row.outcome.runs if row.outcome else ()
        curves = [_curve(record) for record in again or _only(row.chosen)]
        if curves:
            found[row.arm] = curves
    return found


def _only(record: TrialRecord | None) -> Sequence[TrialRecord]:
    return (record,) if record else ()


def _curve(record: TrialRecord) -> list[float]:
    assert record.accuracy is not None  # only completed trials are chosen and confirmed
    return [record.accuracy.before, *record.accuracy.per_epoch]


def hypervolume_figure(analysis: Analysis) -> Pictures:
    """Hypervolume of the search so far, on validation, after each trial: of all arms and each."""
    curves, known = dict(analysis.hypervolume_by_trial), looks(analysis.run)
    together = curves.pop("", ())
    title, height = "Hypervolume of the search (black: all arms)", _height(curves)
    with sheet(analysis.run, title, height) as figure:
        axes = _frame(figure, "trials per arm (log scale)", "hypervolume, on validation")
        _by_doubling(axes, max(map(len, analysis.hypervolume_by_trial.values())))
        _draw_curves(axes, curves, known, drawstyle="steps-post")
        xs = range(1, len(together) + 1)
        axes.plot(xs, together, color=INK, linewidth=1.6, zorder=4, drawstyle="steps-post")
        arm_legend(figure, curves, analysis.run)
        return pictures(figure)


def expected_best_figure(analysis: Analysis) -> Pictures:
    """Validation accuracy to be expected of the best of n random trials, per arm."""
    curves = analysis.expected_best
    with sheet(analysis.run, "Expected best of n random trials", _height(curves)) as figure:
        axes = _frame(figure, "trials n (log scale)", "validation accuracy, expected")
        _by_doubling(axes, max(map(len, curves.values())))
        _draw_curves(axes, curves, looks(analysis.run))
        arm_legend(figure, curves, analysis.run)
        return pictures(figure)


def _height(arms: Collection[str]) -> float:
    return HEIGHT + arm_legend_height(arms)


def _draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[float]], known: Mapping[str, Look], **changes: Any
) -> None:
    for arm, curve in curves.items():
        marks = [2**power - 1 for power in range(len(curve).bit_length())]
        line = {**_line(known[arm], len(curve)), "markevery": marks, **changes}
        axes.plot(range(1, len(curve) + 1), curve, **line)


def _line(look: Look, points: int) -> dict[str, Any]:
    return {
        "color": look.colour,
        "linewidth": 1.2,
        "marker": look.marker,
        "markersize": 3.5,
        "markeredgewidth": 0,
        "markevery": max(1, points // 8),
        "zorder": 3,
    }


def _by_doubling(axes: Axes, longest: int) -> None:
    """An axis of trials on which 1, 2, 4, 8 … are equally far apart."""
    axes.set_xscale("log", base=2)
    powers = range(longest.bit_length())
    axes.set_xticks([2**power for power in powers], [f"{2**power:,}" for power in powers])
    axes.xaxis.set_minor_locator(NullLocator())


def _frame(figure: Figure, x: str, y: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True)
    show_shares(axes.yaxis)
    return axes
