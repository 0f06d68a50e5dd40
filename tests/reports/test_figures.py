"""The Pareto figure and the places of its labels."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import matplotlib as mpl
from matplotlib.transforms import Bbox

from bench.record import Status
from reports.figures import pareto_figure
from reports.labels import Label, Place, place
from tests.reports.records import realistic, study, trial

FRAME = Bbox.from_bounds(0, 0, 400, 300)


def _box(label: Label, spot: Place) -> Bbox:
    x, y = label.x + spot.x - label.width / 2, label.y + spot.y - label.height / 2
    return Bbox.from_bounds(x, y, label.width, label.height)


def test_equal_records_give_equal_bytes_in_any_order() -> None:
    records = realistic()
    first, second = pareto_figure(study(), records), pareto_figure(study(), records[::-1])
    assert first.svg == second.svg
    assert first.png == second.png


def test_settings_of_the_users_matplotlib_neither_matter_nor_change() -> None:
    plain = pareto_figure(study(), realistic())
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        assert pareto_figure(study(), realistic()).svg == plain.svg
        assert mpl.rcParams["font.size"] == 30


def test_the_svg_is_well_formed_and_holds_no_date() -> None:
    svg = pareto_figure(study(), realistic()).svg
    assert ET.fromstring(svg).tag.endswith("svg")
    assert b"dc:date" not in svg


def test_a_study_without_completed_trial_still_has_a_figure() -> None:
    pictures = pareto_figure(study(), [])
    assert b"no completed trial" in pictures.svg
    assert pictures.png.startswith(b"\x89PNG")


def test_one_trial_below_chance_can_be_drawn() -> None:
    assert pareto_figure(study(("lora",)), [trial(right=0)]).png


def test_trials_stopped_early_are_drawn_and_named_in_the_legend() -> None:
    early = trial("lora", 1, right=100, parameters=10, status=Status.PRUNED)
    whole = pareto_figure(study(("lora",)), [trial()])
    drawn = pareto_figure(study(("lora",)), [trial(), early])
    assert b"stopped early" in drawn.svg
    assert b"stopped early" not in whole.svg
    assert b"no completed trial" in pareto_figure(study(("lora",)), [early]).svg


def test_foreign_names_are_drawn_as_they_are_and_warn_of_nothing() -> None:
    asked = study(("lora",), name="$x^{$", model="/home/ann/模型\x1b[2J")
    assert b"$x^{$" in pareto_figure(asked, [trial()]).svg
    assert b"ann" not in pareto_figure(asked, [trial()]).svg


def test_labels_cover_neither_each_other_nor_points_and_stay_inside() -> None:
    spots = [(60, 150), (70, 152), (80, 148), (200, 290), (395, 150), (200, 285), (5, 5)]
    labels = [Label(x=x, y=y, width=50, height=10) for x, y in spots]
    markers = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in spots]
    boxes = [
        _box(label, spot) for label, spot in zip(labels, place(labels, markers, FRAME), strict=True)
    ]
    for one, other in itertools.combinations([*boxes, *markers], 2):
        assert one in markers or not one.overlaps(other)
    for box in boxes:
        assert FRAME.x0 <= box.x0 < box.x1 <= FRAME.x1
        assert FRAME.y0 <= box.y0 < box.y1 <= FRAME.y1


def test_a_lonely_label_stands_right_above_its_point() -> None:
    (spot,) = place([Label(x=200, y=150, width=50, height=10)], [], FRAME)
    assert (spot.x, spot.y, spot.far) == (0, 14, False)
