"""Places labels beside points so that none covers another label, a point or the frame.

Pictures need it. The page has Vega's transform ``label``, which measures on a canvas that
vl_convert does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_STEPS = (11, 16, 23, 33, 48, 68, 94, 128, 170)
"""Distances from the point to the label's near edge, in pixels; beyond 16 a line leads to it."""

_DIRECTIONS = ((0, -1), (-1, -1), (1, -1), (1, 0), (-1, 0), (0, 1), (1, 1), (-1, 1))
"""Above is tried first: a chosen trial has its arm's other trials below it."""

SLIM = 6 / 7
"""Width of text to that of the same in bold."""


class Box(NamedTuple):
    """A rectangle, in pixels from the upper left."""

    left: float
    top: float
    right: float
    bottom: float

    def padded(self, by: float) -> Box:
        """The same, wider on all sides."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return width * height if width > 0 and height > 0 else 0.0


class Label(NamedTuple):
    """What is to be placed: the point that it names, and its size, in pixels."""

    x: float
    y: float
    width: float
    height: float


class Place(NamedTuple):
    """Where a label goes: its centre, and where a line from its point would meet it."""

    x: float
    y: float
    near_x: float
    near_y: float
    far: bool

    def box(self, label: Label) -> Box:
        """What the label covers there."""
        right, low = label.width / 2, label.height / 2
        return Box(self.x - right, self.y - low, self.x + right, self.y + low)


def place(labels: Sequence[Label], obstacles: Sequence[Box], frame: Box) -> list[Place]:
    """One place per label: the first candidate, near before far, that covers the least.

    Args:
        labels: what is to be placed, the most important first.
        obstacles: boxes that should stay free.
        frame: box that labels stay inside.
    """
    taken, places = list(obstacles), []
    for label in labels:

        def cost(spot: Place, label: Label = label) -> float:
            box = spot.box(label).padded(2)
            outside = box.overlap(box) - box.overlap(frame)
            covered = sum(box.overlap(other) for other in taken)
            # Half a square pixel is a rounding error, not a collision.
            return round(covered + 10 * outside, 1) if covered + outside > 0.5 else 0.0

        places.append(min(_candidates(label), key=cost))
        taken.append(places[-1].box(label).padded(2))
    return places


def _candidates(label: Label) -> Iterator[Place]:
    for step in _STEPS:
        for right, down in _DIRECTIONS:
            away = step * (0.75 if right and down else 1.0)
            near_x, near_y = label.x + right * away, label.y + down * away
            x, y = near_x + right * label.width / 2, near_y + down * label.height / 2
            yield Place(x, y, near_x, near_y, step > 16)


def text_width(text: str, size: float) -> float:
    """At most so wide is a bold text, in the unit of its size.

    Widths of Liberation Sans Bold, which are those of Arial Bold, by class of letter.
    """
    return size * sum(
        0.4 if letter in "fijlrtI.,:;|!'()[]- " else
        1.0 if letter in "mwMW%@…" else
        0.79 if letter.isupper() else 0.612
        for letter in text
    )  # fmt: skip


def names_width(arms: Iterable[str]) -> float:
    """At most so wide are the names of a chart's rows, which ``by_row`` cuts off at 110 pixels."""
    return min(110.0, max(text_width(arm, 12 * SLIM) for arm in arms))
