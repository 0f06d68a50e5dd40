"""The figure of what an arm costs in time: training, and answering before and after deploy."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports.analysis import Analysis
from reports.figures.style import (
    FAINT,
    INK,
    Look,
    Pictures,
    fill_names,
    legend,
    looks,
    pictures,
    sheet,
    sign,
)
from reports.leaderboard import Row, rows
from reports.text.cautions import shared, timed

_PANELS = {
    "training": ("s", ("train_seconds", None, None)),
    "1 {example}": (
        "ms per {example}",
        ("inference_ms_p50", "inference_ms_p95", "inference_ms_p50_undeployed"),
    ),
    "in batches": (
        "ms per {example}",
        ("batched_ms_p50", "batched_ms_p95", "batched_ms_p50_undeployed"),
    ),
}
"""Panels with unit, and the metrics of their bars, tails and hollow signs."""


def timing_figure(analysis: Analysis) -> Pictures:
    """Training time and latency per arm, medians over its runs; says so if a device was shared."""
    board, known = timed_rows(analysis), looks(analysis.run)
    word = analysis.run.study.words.example
    is_shared = shared(timed(analysis)) > 0
    title = "Times (device shared: not comparable)" if is_shared else "Time to train and to answer"
    with sheet(analysis.run, title, 1.2 + 0.22 * len(board)) as figure:
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (name, (unit, metrics)) in zip(panels, _PANELS.items(), strict=True):
            axes.set_title(name.format(example=word), fontsize=7, loc="left", pad=3)
            axes.set_xlabel(unit.format(example=word))
            axes.grid(visible=True, axis="x")
            axes.xaxis.set_major_locator(MaxNLocator(3))
            for place, row in enumerate(board):
                _draw_bar(axes, place, row, metrics, known[row.arm])
            axes.set_xlim(left=0)
            fill_names(axes, [row.arm for row in board])
        legend(figure, [
            sign("median", marker="s", alpha=0.75, markersize=5),
            sign("95th percentile", marker="|", linestyle="-", color=INK, markersize=5),
            sign("before deploy, median", marker="D", markerfacecolor="white", markersize=3.5),
        ], 3)  # fmt: skip
        return pictures(figure)


def timed_rows(analysis: Analysis) -> list[Row]:
    """Arms whose chosen configuration has timings, as the leaderboard orders them."""
    return [row for row in rows(analysis) if row.cost("train_seconds") is not None]


def _draw_bar(axes: Axes, place: int, row: Row, metrics: Sequence[str | None], look: Look) -> None:
    bar, tail, hollow = (row.cost(name) if name else None for name in metrics)
    if bar is None:
        return
    axes.barh(place, bar, height=0.62, color=look.colour, alpha=0.75, zorder=2)
    if tail is not None:
        axes.plot([bar, tail], [place, place], color=INK, linewidth=0.8, zorder=3)
        axes.plot(tail, place, marker="|", markersize=4, color=INK, zorder=3)
    if hollow is not None:
        axes.plot(hollow, place, marker="D", markersize=3.2, markerfacecolor="white",
                  markeredgecolor=FAINT, zorder=4)  # fmt: skip
