"""What the page draws without its script: seeds of the leaderboard, pairs, signs of arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from bench.records.study_record import Run
from reports import show
from reports.analysis import Analysis, Entry, Pair
from reports.charts.style import COLOURS, SHAPES
from reports.charts.vega import arm_names


@dataclass(frozen=True, kw_only=True)
class ArmSigns:
    """How an arm is drawn.

    Attributes:
        arm: its name.
        light: colour on light paper.
        dark: the same, brighter, on dark paper.
        shape: path of its sign.
    """

    arm: str
    light: str
    dark: str
    shape: str


def looks(run: Run) -> list[ArmSigns]:
    """Of all arms: colours and signs of the printed figure."""
    return [
        ArmSigns(arm=arm, light=colour, dark=brighter(colour), shape=shape)
        for arm, colour, shape in zip(arm_names(run), cycle(COLOURS), cycle(SHAPES), strict=False)
    ]


def brighter(colour: str, share: float = 0.35) -> str:
    """A colour ``#rrggbb`` with that share of white mixed in."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The seeds of one configuration on the scale that all share; places are 0 … 100.

    Attributes:
        dots: of the seeds.
        mean: of the estimate.
        low: of its interval.
        high: likewise.
        text: the same in words.
    """

    dots: tuple[float, ...]
    mean: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Strips:
    """All strips and the ends of their scale, as shares of questions."""

    low: float
    high: float
    by_arm: dict[str, Strip]


def strips(leaders: Sequence[Entry]) -> Strips:
    """The leaders' seeds. Without leaders the scale is 0 … 1."""
    ends = [x for e in leaders for x in (*e.seeds.values, e.accuracy.low, e.accuracy.high)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    width = max(high - low, 1e-3)

    def place(share: float) -> float:
        return round(100 * (share - low) / width, 1)

    return Strips(
        low=low,
        high=low + width,
        by_arm={
            entry.arm: Strip(
                dots=tuple(map(place, entry.seeds.values)),
                mean=place(entry.accuracy.value),
                low=place(entry.accuracy.low),
                high=place(entry.accuracy.high),
                text=f"seeds: {', '.join(map(show.share, entry.seeds.values))}",
            )
            for entry in leaders
        },
    )


@dataclass(frozen=True, kw_only=True)
class PairCell:
    """One cell of the matrix of pairs: row less column.

    Attributes:
        points: the difference.
        low: lower end of its interval.
        high: upper end.
        p: corrected by Holm's method.
        sign: ``better``, ``worse`` or ``level``, of the row.
        strength: 0 … 100, of the largest difference.
        is_different: whether it is more than chance explains.
    """

    points: str
    low: str
    high: str
    p: str
    sign: str
    strength: int
    is_different: bool


def matrix(analysis: Analysis) -> list[tuple[str, list[PairCell | None]]]:
    """A row per leader with a cell per leader; ``None`` on the diagonal. Empty without pairs."""
    if not analysis.pairs:
        return []
    largest = max(abs(pair.difference.value) for pair in analysis.pairs) or 1.0
    cells: dict[tuple[str, str], PairCell] = {}
    for pair in analysis.pairs:
        cells[pair.first, pair.second] = _versus(pair, 1, largest)
        cells[pair.second, pair.first] = _versus(pair, -1, largest)
    arms = [entry.arm for entry in analysis.leaders]
    return [(row, [cells.get((row, column)) for column in arms]) for row in arms]


def _versus(pair: Pair, side: int, largest: float) -> PairCell:
    difference = pair.difference
    low, high = sorted((side * difference.low, side * difference.high))
    signed = side * difference.value
    return PairCell(
        points=show.points(signed),
        low=show.points(low),
        high=show.points(high),
        p=show.p_value(pair.p_holm),
        sign="better" if signed > 0 else "worse" if signed < 0 else "level",
        strength=round(100 * abs(signed) / largest),
        is_different=pair.is_different,
    )
