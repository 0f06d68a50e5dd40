"""Places labels beside points so that none covers another label, a point or the frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Affine2D, Bbox

from reports.figures.style import INK

Spot: TypeAlias = tuple[float, float]

_STEPS = (9.0, 13.0, 19.0, 28.0, 40.0, 55.0, 75.0, 100.0)
"""Distances from the point to the label's near edge, in points (1/72 inch)."""

_DIRECTIONS = ((0, 1), (-1, 1), (1, 1), (1, 0), (-1, 0), (0, -1), (1, -1), (-1, -1))
"""Above is tried first: a chosen trial has its arm's other trials below it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a label goes.

    Attributes:
        x: of its centre, in points from the point it names.
        y: likewise.
        far: whether it is so far off that a line should lead to it.
        near_x: of its edge that faces the point, likewise.
        near_y: likewise.
    """

    x: float
    y: float
    far: bool
    near_x: float
    near_y: float


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is to be placed; all lengths in points (1/72 inch).

    Attributes:
        x: of the point it names.
        y: likewise.
        width: of the text.
        height: of the text.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Name:
    """A text that names a point.

    Attributes:
        text: what to write.
        colour: of the line that leads to it, if it has one.
        spot: the point, in data coordinates.
    """

    text: str
    colour: str
    spot: Spot


def write_names(
    axes: Axes,
    names: Sequence[Name],
    *,
    markers: Sequence[Spot],
    steps: Sequence[Spot],
    stems: Sequence[tuple[Spot, Spot]],
) -> None:
    """Writes each name near its point, with a thin line to it where it had to go far.

    The layout of the figure is settled here and no longer changes.

    Args:
        axes: where to write; its limits must be final.
        names: what to write.
        markers: centres of all markers, to be kept clear.
        steps: corners of the front's step line, to be kept clear.
        stems: ends of upright lines between two markers, to be kept clear.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes in no figure cannot be drawn
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    to_points = Affine2D().scale(72 / figure.dpi)
    spots = [
        tuple(map(float, to_points.transform(axes.transData.transform(name.spot))))
        for name in names
    ]
    texts = [_text(axes, name) for name in names]
    labels = []
    for text, (x, y) in zip(texts, spots, strict=True):
        box = text.get_window_extent().transformed(to_points)
        labels.append(Label(x=x, y=y, width=box.width, height=box.height))
    found = [*_obstacles(axes, markers, steps), *_stems(axes, stems)]
    obstacles = [box.transformed(to_points) for box in found]
    frame = axes.get_window_extent().transformed(to_points)
    for text, name, spot in zip(texts, names, place(labels, obstacles, frame), strict=True):
        text.set_position((spot.x, spot.y))
        if spot.far:
            _lead(axes, name, spot)


def _text(axes: Axes, name: Name) -> Annotation:
    text = axes.annotate(
        name.text,
        name.spot,
        xytext=(0, 0),
        textcoords="offset points",
        ha="center",
        va="center_baseline",
        fontweight="bold",
        color=INK,
        zorder=8,
    )
    text.set_in_layout(False)
    return text


def _lead(axes: Axes, name: Name, spot: Place) -> None:
    axes.annotate(
        "",
        name.spot,
        xytext=(spot.near_x, spot.near_y),
        textcoords="offset points",
        arrowprops={
            "arrowstyle": "-",
            "color": name.colour,
            "linewidth": 0.7,
            "shrinkA": 0,
            "shrinkB": 5,
        },
        zorder=4,
    )


def _obstacles(axes: Axes, markers: Sequence[Spot], steps: Sequence[Spot]) -> list[Bbox]:
    pixels = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    to_pixels = axes.transData.transform
    boxes = [Bbox.from_bounds(x, y, 0, 0).padded(4.5 * pixels) for x, y in map(to_pixels, markers)]
    ends = [*steps, (axes.get_xlim()[1], steps[-1][1])] if steps else []
    for (x, y), (next_x, next_y) in pairwise(map(to_pixels, ends)):
        boxes.append(Bbox([[x, y], [next_x, y]]).padded(pixels))
        boxes.append(Bbox([[next_x, y], [next_x, next_y]]).padded(pixels))
    return boxes


def _stems(axes: Axes, stems: Sequence[tuple[Spot, Spot]]) -> list[Bbox]:
    pixels = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    return [Bbox(axes.transData.transform(ends)).padded(2 * pixels) for ends in stems]


def place(labels: Sequence[Label], obstacles: Sequence[Bbox], frame: Bbox) -> list[Place]:
    """One place per label: the first candidate, near before far, that covers the least.

    Args:
        labels: what is to be placed, the most important first.
        obstacles: boxes that should stay free.
        frame: box that labels stay inside.
    """
    taken = list(obstacles)
    places = []
    for label in labels:
        best = min(
            _candidates(label), key=lambda spot: _cost(_box(label, spot).padded(2), taken, frame)
        )
        places.append(best)
        taken.append(_box(label, best).padded(1.5))
    return places


def _candidates(label: Label) -> Iterator[Place]:
    for step in _STEPS:
        for right, up in _DIRECTIONS:
            diagonal = 0.75 if right and up else 1.0
            yield Place(
                x=right * (step * diagonal + label.width / 2),
                y=up * (step * diagonal + label.height / 2),
                far=step > 13.0,
                near_x=right * step * diagonal,
                near_y=up * step * diagonal,
            )


def _box(label: Label, spot: Place) -> Bbox:
    left = label.x + spot.x - label.width / 2
    bottom = label.y + spot.y - label.height / 2
    return Bbox.from_bounds(left, bottom, label.width, label.height)


def _cost(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    inside = Bbox.intersection(box, frame)
    outside = box.width * box.height - (inside.width * inside.height if inside else 0.0)
    # Half a square point is a rounding error, not a collision.
    covered = sum(_overlap(box, other) for other in taken)
    return round(covered + 10 * outside, 1) if covered + outside > 0.5 else 0.0


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width * height if width > 0 and height > 0 else 0.0
