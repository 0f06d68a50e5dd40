"""How all figures look, and what they share; drawn without global state, for print.

A figure is as wide as a column of a two-column paper, so its text is printed at the size it is
drawn. Equal records give equal bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.records.study_record import Run
from reports.escape import plain, without_folders

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
"""Okabe and Ito's colour-blind-safe palette, without the yellow that white paper swallows."""

MARKERS = ("o", "s", "^", "D", "v", ">", "p", "<", "h", "P", "X")
INK = "#333333"
FAINT = "#8A8A8A"
GREY = "#666666"

WIDTH = 3.5
"""Of a column, in inches."""

SMALL = 6.0
"""Size of the smallest text, in points."""

NAME = 16
"""Most characters of an arm's name that are written."""

_HEAD = 0.38
"""Height of the two lines above a figure, in inches."""

_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 7.0,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#ECECEC",
    "grid.linewidth": 0.5,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
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


@contextmanager
def sheet(run: Run, title: str, height: float, width: float = WIDTH) -> Iterator[Figure]:
    """An empty figure under its title and the names of study, model and dataset.

    All drawing is to be done inside; ``pictures`` ends it.

    Args:
        run: whose names are written.
        title: the first line.
        height: of all, in inches.
        width: likewise.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # a matplotlibrc of the user's would change the bytes
        mpl.rcParams.update(_STYLE)
        layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, rect=(0, 0, 1, 1 - _HEAD / height))
        figure = Figure(figsize=(width, height), dpi=300, facecolor="white", layout=layout)
        FigureCanvasAgg(figure)
        left = 0.06 / width
        figure.text(left, 1 - 0.06 / height, title, va="top", fontsize=8.5, fontweight="bold")
        figure.text(left, 1 - 0.225 / height, _subtitle(run), va="top", fontsize=SMALL, color=GREY)
        yield figure


def pictures(figure: Figure) -> Pictures:
    """The finished figure."""
    return Pictures(png=_bytes(figure, "png"), svg=_bytes(figure, "svg"))


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=300, metadata=metadata)
    return buffer.getvalue()


def _subtitle(run: Run) -> str:
    study = run.study
    return "  ·  ".join(short(part, 22) for part in (study.name, study.model, study.dataset))


def short(text: str, longest: int) -> str:
    """Foreign text on one line of at most so many characters, all of which the font has."""
    # Characters the bundled font lacks would be drawn as boxes.
    known = plain(without_folders(text)).encode("latin-1", "replace").decode("latin-1")
    return known if len(known) <= longest else f"{known[: longest - 1]}…"


def looks(run: Run) -> dict[str, Look]:
    """How each arm is drawn, in every figure alike."""
    arms = dict.fromkeys([*run.study.arms, *(record.arm for record in run.searched)])
    return {
        arm: Look(colour=colour, marker=marker)
        for arm, colour, marker in zip(arms, cycle(COLOURS), cycle(MARKERS), strict=False)
    }


def sign(text: str, **changes: Any) -> Line2D:
    """A grey dot with its meaning, for a legend; other properties as a line has them."""
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "color": GREY, "markersize": 4.5}
    return Line2D([], [], label=text, **{**look, **changes})


def legend(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """Says below the figure what its signs mean."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        handletextpad=0.4,
        columnspacing=1.2,
        handlelength=1.6,
        borderpad=0.2,
        labelspacing=0.35,
    )


def arm_legend(figure: Figure, arms: Collection[str], run: Run) -> None:
    """Says below the figure which line is which arm's."""
    handles = [
        sign(short(arm, NAME), linestyle="-", color=look.colour, marker=look.marker,
             markersize=3.5, linewidth=1.2)
        for arm, look in looks(run).items()
        if arm in arms
    ]  # fmt: skip
    legend(figure, handles, _columns(arms))


def arm_legend_height(arms: Collection[str]) -> float:
    """What ``arm_legend`` takes of a figure's height, in inches."""
    return 0.13 * math.ceil(len(arms) / _columns(arms))


def _columns(arms: Collection[str]) -> int:
    longest = max(len(short(arm, NAME)) for arm in arms)
    points = 0.6 * SMALL * longest + 3.4 * SMALL  # about: a letter's width, and that of a sign
    return max(1, min(4, len(arms), int(WIDTH * 70 / points)))


def fill_names(axes: Axes, arms: Sequence[str]) -> None:
    """Names the rows 0, 1, … of a figure after arms, the first at the top."""
    axes.set_yticks(range(len(arms)), [short(arm, NAME) for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def show_shares(axis: Axis) -> None:
    """Labels an axis of accuracies or other shares, with ticks that two decimals can tell."""
    axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))


def spread(count: int, width: float) -> list[float]:
    """So many places evenly around 0, within half a width on either side."""
    step = width / max(1, count - 1)
    return [step * (place - (count - 1) / 2) for place in range(count)]
