"""Where names beside points go."""

from __future__ import annotations

import itertools

from reports.charts.labels import Box, Label, place, text_width

FRAME = Box(0, 0, 400, 300)


def test_labels_cover_neither_each_other_nor_points_and_stay_inside() -> None:
    spots = [(60, 150), (70, 152), (80, 148), (200, 290), (395, 150), (200, 285), (5, 5)]
    labels = [Label(x=x, y=y, width=50, height=10) for x, y in spots]
    markers = [Box(x, y, x, y).padded(4) for x, y in spots]
    places = place(labels, markers, FRAME)
    boxes = [spot.box(label) for label, spot in zip(labels, places, strict=True)]
    for one, other in itertools.combinations([*boxes, *markers], 2):
        assert one in markers or not one.overlap(other)
    for box in boxes:
        assert FRAME.left <= box.left < box.right <= FRAME.right
        assert FRAME.top <= box.top < box.bottom <= FRAME.bottom


def test_a_lonely_label_stands_right_above_its_point() -> None:
    (spot,) = place([Label(x=200, y=150, width=50, height=10)], [], FRAME)
    assert (spot.x, spot.y, spot.far) == (200, 134, False)
    assert (spot.near_x, spot.near_y) == (200, 139)


def test_a_text_is_never_wider_than_it_is_taken_for() -> None:
    # advance widths of Arial Bold, in thousandths of the size (Adobe's Helvetica-Bold AFM)
    widths = {"adapter": 3612, "full": 1500, "bitfit": 2167, "prompt": 3445, "LoRA 16": 4056}
    for text, width in widths.items():
        assert width / 1000 <= text_width(text, 1) <= 1.3 * width / 1000
