"""The Pareto figure: accuracy against trained parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis, Entry, Place
from reports.figures.labels import Name, Spot, write_names
from reports.figures.style import (
    FAINT,
    INK,
    WIDTH,
    Look,
    Pictures,
    legend,
    looks,
    pictures,
    sheet,
    short,
    show_shares,
    sign,
)
from reports.front import Point, points
from reports.standings import best_trials, in_order, stopped_early

CROWD = 8
"""Most arms whose names fit into one column; with more the figure is two columns wide."""


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """What is drawn.

    Attributes:
        entries: tested candidates.
        named: the point that carries each arm's name.
        front: corners of the front's line.
        found: completed trials of the search.
        early: trials of it that were stopped.
        chance: accuracy of guessing.
        examples: what they are called.
        looks: of the arms.
    """

    entries: Sequence[Entry]
    named: dict[str, Spot]
    front: Sequence[Spot]
    found: Sequence[Point]
    early: Sequence[TrialRecord]
    chance: float
    examples: str
    looks: dict[str, Look]

    @property
    def spots(self) -> list[Spot]:
        """All points of the search."""
        found = [(float(point.trained_parameters), point.accuracy) for point in self.found]
        return [*found, *map(_spot, self.early)]

    @property
    def heights(self) -> list[float]:
        """Everything the vertical axis must hold."""
        seeds = [value for entry in self.entries for value in entry.seeds.values]
        ends = [end for e in self.entries for end in (e.accuracy.low, e.accuracy.high)]
        return [self.chance, *seeds, *ends, *(y for _, y in self.spots)]


def pareto_figure(analysis: Analysis) -> Pictures:
    """Test accuracy of every tested candidate against its trained parameters.

    A candidate has its 95 % interval, its seeds as small dots, and a sign for its place: filled on
    the front, hollow where that is open, pale where it is dominated. The search's trials stand
    faint behind, at their validation accuracy. Before any test the line is the search's front.
    """
    run = analysis.run
    drawn = _drawn(analysis)
    width, height = (WIDTH, 3.35) if len(drawn.named) <= CROWD else (2 * WIDTH, 4.5)
    with sheet(run, "Accuracy against trained parameters", height, width) as figure:
        axes = figure.add_subplot()
        _frame(axes, drawn, tested=bool(drawn.entries))
        if drawn.found:
            _draw_front(axes, drawn.front)
            _draw_search(axes, drawn)
            for entry in drawn.entries:
                _draw_entry(axes, entry, drawn.looks[entry.arm])
            _legend(figure, drawn)
            _name_arms(axes, drawn)
        else:
            axes.text(
                0.5, 0.5, "no completed trial", transform=axes.transAxes, ha="center", color=FAINT
            )
        return pictures(figure)


def _drawn(analysis: Analysis) -> _Drawn:
    run = analysis.run
    ordered = in_order(run.study, run.searched)
    found, entries = points(ordered), analysis.entries
    if entries:
        named = {entry.arm: _place(entry) for entry in (*entries, *analysis.leaders)}
        front = [_place(entry) for entry in entries if entry.on_front]
    else:
        named = {arm: _spot(record) for arm, record in best_trials(ordered).items()}
        front = [(float(p.trained_parameters), p.accuracy) for p in found if p.on_front]
    return _Drawn(
        entries=entries,
        named=named,
        front=front,
        found=found,
        early=stopped_early(ordered),
        chance=run.study.chance,
        examples=run.study.words.examples,
        looks=looks(run),
    )


def _place(entry: Entry) -> Spot:
    return (float(entry.confirmed.trained_parameters), entry.accuracy.value)


def _spot(record: TrialRecord) -> Spot:
    assert record.accuracy is not None  # completed() and stopped_early() saw to both
    assert record.parameters is not None
    return (float(record.parameters.trained), record.accuracy.validation)


def _frame(axes: Axes, drawn: _Drawn, *, tested: bool) -> None:
    axes.set_xscale("log")
    axes.set_xlabel("trained parameters, head included (log scale)")
    axes.set_ylabel(f"{'' if tested else 'validation '}accuracy (share of {drawn.examples})")
    axes.grid(visible=True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show.round_count(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    show_shares(axes.yaxis)
    _limits(axes, drawn)
    axes.axhline(drawn.chance, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)


def _limits(axes: Axes, drawn: _Drawn) -> None:
    parameters = [x for x, _ in drawn.spots] or [1_000, 1_000_000]
    low, high = min(drawn.heights), max(drawn.heights)
    pad = max(0.04, (high - low) * 0.12)
    axes.set_ylim(max(0.0, low - pad), high + pad * 1.2)
    span = math.log10(max(parameters) / min(parameters))
    side = 10 ** max(0.3, span * 0.08)
    # Powers of ten alone would leave a short axis with one tick.
    steps = (1.0,) if span > 2 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=steps, numticks=12))
    axes.set_xlim(min(parameters) / side, max(parameters) * side)


def _draw_front(axes: Axes, front: Sequence[Spot]) -> None:
    xs = [x for x, _ in front] + [axes.get_xlim()[1]]
    ys = [y for _, y in front] + [front[-1][1]]
    axes.plot(xs, ys, drawstyle="steps-post", color=INK, linewidth=1.0, zorder=3)
    axes.fill_between(xs, ys, axes.get_ylim()[0], step="post", color="#F6F6F4", zorder=0)


def _draw_search(axes: Axes, drawn: _Drawn) -> None:
    """The search's trials, behind; before any test its front is shown in full colour."""
    thin = min(1.0, (150 / max(1, len(drawn.found))) ** 0.5)  # a crowd must not hide the front
    pale = (0.25 if drawn.entries else 0.5) * thin
    for arm, look in drawn.looks.items():
        mine = [point for point in drawn.found if point.record.arm == arm]
        for on_front in (False, True):
            dots = [p for p in mine if p.on_front == on_front]
            axes.scatter(
                [p.trained_parameters for p in dots],
                [p.accuracy for p in dots],
                s=5 + (6 if drawn.entries else 10) * thin,
                marker=look.marker,
                color=look.colour,
                linewidths=0,
                alpha=1 if on_front and not drawn.entries else pale,
                zorder=2.6,
            )
        stopped = [_spot(record) for record in drawn.early if record.arm == arm]
        axes.scatter(
            [x for x, _ in stopped],
            [y for _, y in stopped],
            s=9,
            marker=look.marker,
            facecolors="none",
            edgecolors=look.colour,
            linewidths=0.5,
            alpha=0.3 * thin,
            zorder=2.5,
        )
    if not drawn.entries:
        for arm, (x, y) in drawn.named.items():
            axes.plot(x, y, zorder=6, **_marker(drawn.looks[arm], "front"))


def _marker(look: Look, place: Place) -> dict[str, Any]:
    """The sign of an arm at a place: filled, hollow or pale."""
    face = {"front": look.colour, "ambiguous": "white", "dominated": "#DDDDDD"}[place]
    return {
        "linestyle": "",
        "marker": look.marker,
        "markersize": 6,
        "markerfacecolor": face,
        "markeredgecolor": "white" if place == "front" else look.colour,
        "markeredgewidth": 0.6 if place == "front" else 1.0,
    }


def _draw_entry(axes: Axes, entry: Entry, look: Look) -> None:
    (x, y), accuracy = _place(entry), entry.accuracy
    axes.plot([x, x], [accuracy.low, accuracy.high], color=look.colour, linewidth=1.0, zorder=4)
    axes.scatter(
        [x] * len(entry.seeds.values),
        entry.seeds.values,
        s=3.5,
        color=INK,
        alpha=0.75,
        linewidths=0,
        zorder=7,
    )
    axes.plot(x, y, zorder=6, **_marker(look, entry.place))


def _legend(figure: Figure, drawn: _Drawn) -> None:
    grey = Look(colour=FAINT, marker="o")
    if drawn.entries:
        handles = [
            sign(f"{place}{', 95 % interval' if place == 'front' else ''}", **_marker(grey, place))
            for place in ("front", "ambiguous", "dominated")
        ]
        handles.append(sign("one seed", markersize=2, color=INK))
        handles.append(sign("search, validation: optimistic", alpha=0.35, markeredgewidth=0))
    else:
        handles = [
            sign("best trial of an arm", **_marker(grey, "front")),
            sign("other trials", alpha=0.5, markeredgewidth=0),
        ]
    if drawn.early:
        hollow = {"markerfacecolor": "none", "markeredgewidth": 0.6, "alpha": 0.5}
        handles.append(sign("stopped early", markersize=3.5, **hollow))
    handles += [
        sign("Pareto front", linestyle="-", marker="", color=INK),
        sign("chance", linestyle=(0, (2, 2)), marker="", color=FAINT),
    ]
    legend(figure, handles, 3)


def _name_arms(axes: Axes, drawn: _Drawn) -> None:
    names = [
        Name(text=short(arm, 20), colour=drawn.looks[arm].colour, spot=spot)
        for arm, spot in sorted(drawn.named.items(), key=lambda item: item[1])
    ]
    tested = [_place(entry) for entry in drawn.entries]
    bars = [
        ((x, entry.accuracy.low), (x, entry.accuracy.high))
        for entry in drawn.entries
        for x, _ in (_place(entry),)
    ]
    markers = [*drawn.named.values(), *tested]
    write_names(axes, names, markers=markers, steps=drawn.front, stems=bars)
    for text in axes.texts:
        text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
