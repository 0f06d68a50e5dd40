"""The figures of a report and the places of labels in them."""

from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
import pytest
from matplotlib.image import imread
from matplotlib.transforms import Bbox

from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from reports import show
from reports.analysis import Analysis, analyse
from reports.figures.gallery import DRAWINGS, drawn
from reports.figures.labels import Label, Name, Place, place, write_names
from reports.figures.pareto import pareto_figure as pareto_of
from reports.figures.style import COLOURS, INK, Pictures, sheet
from tests.helpers.busy import busy_run
from tests.helpers.records import one_seed_run, realistic, study, trial
from tests.helpers.simulate import World, simulated_run

FRAME = Bbox.from_bounds(0, 0, 400, 300)
SVG = "{http://www.w3.org/2000/svg}"


def pareto_figure(asked: StudyRecord, records: Sequence[TrialRecord]) -> Pictures:
    return pareto_of(analyse(one_seed_run(asked, records)))


@cache
def _busy() -> Analysis:
    return analyse(busy_run(6, sampler="random"))


@cache
def _turned() -> Analysis:
    run = _busy().run
    searched, confirmed = run.searched[::-1], run.confirmed[::-1]
    return analyse(Run(study=run.study, searched=searched, confirmed=confirmed, freeze=run.freeze))


@cache
def _busy_figure(name: str) -> Pictures:
    return DRAWINGS[name].draw(_busy())


def _box(label: Label, spot: Place) -> Bbox:
    x, y = label.x + spot.x - label.width / 2, label.y + spot.y - label.height / 2
    return Bbox.from_bounds(x, y, label.width, label.height)


def _dots(svg: bytes) -> int:
    """How many dots of clouds of dots a figure has."""
    clouds = (g for g in ET.fromstring(svg).iter(f"{SVG}g") if "PathColl" in g.get("id", ""))
    return sum(len(list(cloud.iter(f"{SVG}use"))) for cloud in clouds)


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_figure_is_the_same_in_bytes_whoever_draws_it(name: str) -> None:
    first = _busy_figure(name)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        second = DRAWINGS[name].draw(_turned())
        assert mpl.rcParams["font.size"] == 30
    assert first.svg == second.svg
    assert first.png == second.png
    assert first.png.startswith(b"\x89PNG")
    assert ET.fromstring(first.svg).tag.endswith("svg")
    assert b"dc:date" not in first.svg


def test_equal_records_give_equal_bytes_in_any_order() -> None:
    records = realistic()
    first, second = pareto_figure(study(), records), pareto_figure(study(), records[::-1])
    assert first.svg == second.svg
    assert first.png == second.png


def test_a_run_has_the_figures_it_has_data_for() -> None:
    assert drawn(_busy()) == list(DRAWINGS)
    assert drawn(analyse(Run(study=study(), searched=()))) == ["pareto"]
    searched = analyse(Run(study=study(("lora",)), searched=(trial(),)))
    assert drawn(searched) == ["pareto", "learning", "timing", "hypervolume"]
    alone = analyse(one_seed_run(study(("lora",)), [trial(test=300)]))
    assert "pairwise" not in drawn(alone)


def test_every_seed_of_every_arm_is_a_dot() -> None:
    seeds = sum(len(entry.seeds.values) for entry in _busy().leaders)
    assert seeds == 34
    assert _dots(_busy_figure("seeds").svg) == seeds


def test_seeds_and_trials_of_the_search_are_dots_of_the_pareto_figure() -> None:
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=3, questions=200), trials=4)
    # of each arm 3 seeds and 4 trials
    assert _dots(pareto_of(analyse(run)).svg) == 14


@pytest.mark.parametrize(
    ("right", "place_of_full", "sign"),
    [
        (100, "dominated", b"#dddddd; stroke: #d55e00"),
        # without the two questions that only it answers, which e^-2 of the resamples lack, it is no
        # better than what trains less
        (302, "ambiguous", b"#ffffff; stroke: #d55e00"),
        (400, "front", b"#d55e00; stroke: #ffffff"),
    ],
)
def test_the_sign_tells_a_candidates_place(right: int, place_of_full: str, sign: bytes) -> None:
    run = one_seed_run(
        study(("lora", "full")), [trial("lora", test=300), trial("full", test=right)]
    )
    analysis = analyse(run)
    assert [entry.place for entry in analysis.entries] == ["front", place_of_full]
    assert sign in pareto_of(analysis).svg


def test_names_beside_points_are_ink_whatever_the_arms_colour() -> None:
    with sheet(busy_run(1), "names", 2.0) as figure:
        axes = figure.add_subplot()
        names = [Name(text=colour, colour=colour, spot=(0.5, 0.5)) for colour in COLOURS]
        write_names(axes, names, markers=[], steps=[], stems=[])
        assert {text.get_color() for text in axes.texts if text.get_text()} == {INK}


def test_the_searchs_trials_are_called_optimistic_beside_tested_ones() -> None:
    assert b"search, validation: optimistic" in _busy_figure("pareto").svg


def test_the_matrix_names_every_difference_in_points() -> None:
    svg = _busy_figure("pairwise").svg
    for pair in _busy().pairs:
        assert f"<!-- {show.points(pair.difference.value)} -->".encode() in svg
        assert f"<!-- {show.points(-pair.difference.value)} -->".encode() in svg


def test_timings_on_a_shared_device_are_called_not_comparable() -> None:
    apart, shared = (
        DRAWINGS["timing"].draw(analyse(Run(study=study(("lora",)), searched=(one,))))
        for one in (trial(), trial(shared=True))
    )
    assert b"device shared: not comparable" in shared.svg
    assert b"not comparable" not in apart.svg


def test_a_study_without_completed_trial_still_has_a_figure() -> None:
    pictures = pareto_figure(study(), [])
    assert b"no completed trial" in pictures.svg
    assert pictures.png.startswith(b"\x89PNG")


def test_one_trial_below_chance_can_be_drawn() -> None:
    assert pareto_figure(study(("lora",)), [trial(right=0)]).png


def test_trials_stopped_early_are_drawn_and_named_in_the_legend() -> None:
    early = trial("lora", 1, right=100, parameters=10, status=Status.PRUNED)
    whole = pareto_figure(study(("lora",)), [trial()])
    drawn_early = pareto_figure(study(("lora",)), [trial(), early])
    assert b"stopped early" in drawn_early.svg
    assert b"stopped early" not in whole.svg
    assert b"no completed trial" in pareto_figure(study(("lora",)), [early]).svg


def test_foreign_names_are_drawn_as_they_are_and_warn_of_nothing() -> None:
    asked = study(("lora",), name="$x^{$", model="/home/ann/模型\x1b[2J")
    assert b"$x^{$" in pareto_figure(asked, [trial()]).svg
    assert b"ann" not in pareto_figure(asked, [trial()]).svg


@pytest.mark.parametrize("name", DRAWINGS)
def test_nothing_is_cut_off_at_the_edge_of_a_figure(name: str) -> None:
    for drawing in (_busy_figure(name), DRAWINGS[name].draw(_crowd())):
        pixels = imread(io.BytesIO(drawing.png))
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 1).all()


@cache
def _crowd() -> Analysis:
    arms = {f"an_arm_with_a_long_name_{n}": 0.3 + 0.02 * n for n in range(13)}
    sizes = {arm: 300 * 3**n for n, arm in enumerate(arms)}
    run = simulated_run(arms, World(seeds=2, questions=100), trials=2, parameters=sizes)
    asked = run.study.model_copy(update={"sampler": "random"})
    return analyse(
        Run(study=asked, searched=run.searched, confirmed=run.confirmed, freeze=run.freeze)
    )


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
