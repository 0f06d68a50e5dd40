"""Figures of what was tested: every seed of every arm, and every two arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.patches import Rectangle

from reports import show
from reports.analysis import Analysis, Entry
from reports.figures.style import (
    COLOURS,
    GREY,
    INK,
    NAME,
    SMALL,
    WIDTH,
    Look,
    Pictures,
    fill_names,
    legend,
    looks,
    pictures,
    sheet,
    short,
    show_shares,
    sign,
    spread,
)
from reports.text import notes

Colour: TypeAlias = str | tuple[float, float, float, float]

_CLASH = LinearSegmentedColormap.from_list("clash", (COLOURS[1], "#FFFFFF", COLOURS[0]))
"""Worse, equal, better: orange, white, blue."""


def seeds_figure(analysis: Analysis) -> Pictures:
    """Test accuracy of every seed, with mean and 95 % interval, one row per arm by rank."""
    leaders, known = analysis.leaders, looks(analysis.run)
    with sheet(analysis.run, "Test accuracy, seed by seed", 1.1 + 0.27 * len(leaders)) as figure:
        axes = figure.add_subplot()
        axes.grid(visible=True, axis="x")
        show_shares(axes.xaxis)
        axes.set_xlabel(f"test accuracy (share of {analysis.run.study.words.examples})")
        fill_names(axes, [entry.arm for entry in leaders])
        _band_ranks(axes, leaders)
        for row, entry in enumerate(leaders):
            _draw_seeds(axes, row, entry, known[entry.arm])
        over = notes.interval_over(analysis)
        handles = [
            sign("one seed", markersize=3, markeredgewidth=0, alpha=0.55),
            sign(f"mean, 95 % interval {over}", marker="|", linestyle="-", color=INK),
        ]
        legend(figure, handles, 2 if len(over) < 40 else 1)
        return pictures(figure)


def _band_ranks(axes: Axes, leaders: Sequence[Entry]) -> None:
    """A grey band behind every second rank, and the ranks on the right."""
    ranks = list(dict.fromkeys(entry.rank for entry in leaders))
    for row, entry in enumerate(leaders):
        if ranks.index(entry.rank) % 2 == 0:
            axes.axhspan(row - 0.5, row + 0.5, color="#F4F4F2", linewidth=0, zorder=0)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(leaders)), [f"rank {entry.rank}" for entry in leaders])
    right.tick_params(length=0, labelsize=SMALL, labelcolor=GREY)
    right.spines["right"].set_visible(False)


def _draw_seeds(axes: Axes, row: int, entry: Entry, look: Look) -> None:
    values, accuracy = entry.seeds.values, entry.accuracy
    places = [row - 0.02 + offset for offset in spread(len(values), 0.42)]
    axes.scatter(values, places, s=10, color=look.colour, alpha=0.55, linewidths=0, zorder=3)
    axes.plot([accuracy.low, accuracy.high], [row, row], color=INK, linewidth=1.0, zorder=4)
    axes.plot(
        accuracy.value, row, marker="|", markersize=9, color=INK, markeredgewidth=1.6, zorder=5
    )


def pairwise_figure(analysis: Analysis) -> Pictures:
    """Difference of every two arms in points, row less column; in colour where different."""
    arms = [entry.arm for entry in analysis.leaders]
    size = max(WIDTH, 0.95 + 0.37 * len(arms))
    scale = Normalize(-_widest(analysis), _widest(analysis))
    with sheet(analysis.run, "Differences in test accuracy, in points", size - 0.1, size) as figure:
        axes = figure.add_subplot()
        axes.set_xlim(-0.5, len(arms) - 0.5)
        fill_names(axes, arms)
        axes.set_aspect("equal")
        axes.xaxis.tick_top()
        axes.set_xticks(
            range(len(arms)), [short(arm, NAME) for arm in arms], rotation=40, ha="left"
        )
        axes.tick_params(axis="x", length=0, pad=1)
        axes.spines[:].set_visible(False)
        place = {arm: index for index, arm in enumerate(arms)}
        for pair in analysis.pairs:
            first, second, value = place[pair.first], place[pair.second], pair.difference.value
            for row, column, points in ((first, second, value), (second, first, -value)):
                colour = _CLASH(scale(points)) if pair.is_different else "#FFFFFF"
                _cell(axes, (column, row), show.points(points), colour, bold=pair.is_different)
        for index in range(len(arms)):
            _cell(axes, (index, index), "", "#F4F4F2", bold=False)
        text = "row less column; bold on colour: different at 5 % (Holm)\nwhite: not told apart"
        axes.set_xlabel(text, fontsize=SMALL, color=GREY)
        axes.xaxis.set_label_position("bottom")
        return pictures(figure)


def _widest(analysis: Analysis) -> float:
    return max(0.01, *(abs(pair.difference.value) for pair in analysis.pairs))


def _cell(axes: Axes, spot: tuple[int, int], text: str, colour: Colour, *, bold: bool) -> None:
    x, y = spot
    axes.add_patch(
        Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="#DDDDDD", linewidth=0.5)
    )
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        fontsize=6.5,
        fontweight="bold" if bold else "normal",
        color=_readable(colour) if bold else GREY,
    )


def _readable(colour: Colour) -> str:
    """Ink or white, whichever stands out more: relative luminance as WCAG 2 defines it."""
    parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
             for part in to_rgb(colour))  # fmt: skip
    luminance = sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))
    return INK if (luminance + 0.05) / 0.083 > 1.05 / (luminance + 0.05) else "white"
