"""The Pareto figure: accuracy against trained parameters, drawn without global state."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.record import StudyRecord, TrialRecord
from reports import show
from reports.escape import plain, without_folders
from reports.front import Point, points
from reports.labels import Name, write_names
from reports.standings import best_trials, completed, in_order, stopped_early

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
"""Okabe and Ito's colour-blind-safe palette, without the yellow that white paper swallows."""

MARKERS = ("o", "s", "^", "D", "v", ">", "p", "<", "h", "P", "X")
INK = "#333333"
FAINT = "#8A8A8A"

_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "paretune",
    "svg.fonttype": "path",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """How an arm is drawn."""

    colour: str
    marker: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One figure in two formats."""

    png: bytes
    svg: bytes


def pareto_figure(study: StudyRecord, records: Iterable[TrialRecord]) -> Pictures:
    """Validation accuracy of every completed trial against its trained parameters.

    The chosen trial of an arm is large and named; where it has a test accuracy, an open marker of
    the same shape shows it. Trials that were stopped early are faint and hollow. Equal records
    give equal bytes.
    """
    ordered = in_order(study, records)
    found, early = points(ordered), stopped_early(ordered)
    with _style():
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.07)
        figure = Figure(figsize=(7.6, 4.9), dpi=200, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _frame(axes, study, found, early)
        if found:
            looks = _looks(study, ordered)
            _draw_front(axes, found)
            _draw_early(axes, early, looks)
            _draw_trials(axes, found, looks)
            _draw_chosen(axes, best_trials(ordered), looks)
            _legend(figure, tested=any(record.test for record in ordered), early=bool(early))
            _name_arms(axes, ordered, looks)
        else:
            axes.text(
                0.5, 0.5, "no completed trial", transform=axes.transAxes, ha="center", color=FAINT
            )
        return Pictures(png=_bytes(figure, "png"), svg=_bytes(figure, "svg"))


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()  # a matplotlibrc of the user's would change the bytes
        mpl.rcParams.update(_STYLE)
        yield


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


def _looks(study: StudyRecord, records: Iterable[TrialRecord]) -> dict[str, Look]:
    arms = dict.fromkeys([*study.arms, *(record.arm for record in records)])
    return {
        arm: Look(colour=colour, marker=marker)
        for arm, colour, marker in zip(arms, cycle(COLOURS), cycle(MARKERS), strict=False)
    }


def _frame(axes: Axes, study: StudyRecord, found: list[Point], early: list[TrialRecord]) -> None:
    axes.set_xscale("log")
    axes.set_xlabel("trained parameters, head included (log scale)")
    axes.set_ylabel("validation accuracy (share of questions)")
    axes.set_title(
        "Accuracy against trained parameters", loc="left", fontsize=12, fontweight="bold", pad=22
    )
    axes.text(0, 1.025, _subtitle(study), transform=axes.transAxes, fontsize=9, color="#666666")
    axes.grid(visible=True, color="#ECECEC", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, width=0.8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show.round_count(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
    _limits(axes, study, found, early)
    axes.axhline(study.chance, color=FAINT, linewidth=1, linestyle=(0, (2, 2)), zorder=1)


def _subtitle(study: StudyRecord) -> str:
    validation = study.splits.get("validation")
    parts = [study.name, study.model, study.dataset]
    if validation:
        parts.append(f"{validation.questions:,} validation questions")
    # Characters the bundled font lacks would be drawn as boxes.
    texts = (plain(without_folders(part)).encode("latin-1", "replace") for part in parts)
    return "  ·  ".join(text.decode("latin-1")[:48] for text in texts)


def _limits(axes: Axes, study: StudyRecord, found: list[Point], early: list[TrialRecord]) -> None:
    spots = [*((point.trained_parameters, point.accuracy) for point in found), *map(_spot, early)]
    parameters = [x for x, _ in spots] or [1_000, 1_000_000]
    tests = [point.record.test.accuracy for point in found if point.record.test]
    heights = [*(y for _, y in spots), *tests, study.chance]
    low, high = min(heights), max(heights)
    pad = max(0.04, (high - low) * 0.12)
    axes.set_ylim(max(0.0, low - pad), high + pad * 1.2)
    span = math.log10(max(parameters) / min(parameters))
    side = 10 ** max(0.3, span * 0.07)
    # Powers of ten alone would leave a short axis with one tick.
    steps = (1.0,) if span > 2 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=steps, numticks=12))
    axes.set_xlim(min(parameters) / side, max(parameters) * side)


def _draw_front(axes: Axes, found: list[Point]) -> None:
    front = [point for point in found if point.on_front]
    right = axes.get_xlim()[1]
    xs = [point.trained_parameters for point in front] + [right]
    ys = [point.accuracy for point in front] + [front[-1].accuracy]
    axes.plot(xs, ys, drawstyle="steps-post", color=INK, linewidth=1.3, zorder=2)
    axes.fill_between(xs, ys, axes.get_ylim()[0], step="post", color="#F6F6F4", zorder=0)


def _draw_early(axes: Axes, early: list[TrialRecord], looks: dict[str, Look]) -> None:
    for record in early:
        look = looks[record.arm]
        axes.plot(
            *_spot(record),
            marker=look.marker,
            markersize=4.5,
            markerfacecolor="none",
            markeredgecolor=look.colour,
            markeredgewidth=0.8,
            alpha=0.4,
            zorder=2.5,
        )


def _draw_trials(axes: Axes, found: list[Point], looks: dict[str, Look]) -> None:
    for point in found:
        look = looks[point.record.arm]
        axes.plot(
            point.trained_parameters,
            point.accuracy,
            marker=look.marker,
            markersize=5,
            color=look.colour,
            markeredgewidth=0,
            alpha=1 if point.on_front else 0.45,
            zorder=3,
        )


def _draw_chosen(axes: Axes, chosen: dict[str, TrialRecord], looks: dict[str, Look]) -> None:
    for arm, record in chosen.items():
        (x, validation), look = _spot(record), looks[arm]
        if record.test:
            axes.plot(
                [x, x],
                [validation, record.test.accuracy],
                color=look.colour,
                linewidth=1,
                zorder=4,
            )
            axes.plot(
                x,
                record.test.accuracy,
                marker=look.marker,
                markersize=6.5,
                markerfacecolor="white",
                markeredgecolor=look.colour,
                markeredgewidth=1.3,
                zorder=5,
            )
        axes.plot(
            x,
            validation,
            marker=look.marker,
            markersize=9,
            color=look.colour,
            markeredgecolor="white",
            markeredgewidth=0.9,
            zorder=6,
        )


def _legend(figure: Figure, *, tested: bool, early: bool) -> None:
    def sign(marker: str, text: str, **changes: Any) -> Line2D:
        look: dict[str, Any] = {"linestyle": "", "marker": marker, "color": "#666666"}
        return Line2D([], [], label=text, **{**look, **changes})

    handles = [
        sign("o", "chosen trial of an arm", markersize=8),
        sign("o", "other trials", markersize=5, alpha=0.45, markeredgewidth=0),
        sign("", "Pareto front", linestyle="-", color=INK),
        sign("", "chance", linestyle=(0, (2, 2)), color=FAINT),
    ]
    if early:
        hollow = {"markerfacecolor": "none", "markeredgewidth": 0.8}
        handles.insert(2, sign("o", "stopped early", markersize=4.5, alpha=0.4, **hollow))
    if tested:
        handles.insert(1, sign("o", "its test accuracy", markerfacecolor="white", markersize=6.5))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.5,
        columnspacing=0.8 if early else 1.8,
        handlelength=1.5 if early else 2.0,
    )


def _name_arms(axes: Axes, records: list[TrialRecord], looks: dict[str, Look]) -> None:
    found, chosen = points(records), best_trials(records)
    names = [
        Name(text=plain(arm)[:32], colour=looks[arm].colour, spot=_spot(record))
        for arm, record in sorted(chosen.items(), key=lambda item: _spot(item[1]))
    ]
    spots = [_spot(record) for record in (*completed(records), *stopped_early(records))]
    stems = [
        (_spot(point.record), (point.trained_parameters, point.record.test.accuracy))
        for point in found
        if point.record.test
    ]
    front = [(point.trained_parameters, point.accuracy) for point in found if point.on_front]
    tested = [end for _, end in stems]
    write_names(axes, names, markers=[*spots, *tested], steps=front, stems=stems)


def _spot(record: TrialRecord) -> tuple[float, float]:
    assert record.accuracy is not None  # completed() and stopped_early() saw to both
    assert record.parameters is not None
    return (record.parameters.trained, record.accuracy.validation)
