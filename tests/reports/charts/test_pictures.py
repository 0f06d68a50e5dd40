"""The pictures of a report, as their SVG has them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from bench.storage.ledger import Ledger
from reports import show
from reports.analysis import Analysis, analyse
from reports.charts.front import pareto_picture as pareto_of
from reports.charts.gallery import DRAWINGS, picture_names
from reports.charts.picture import Picture
from reports.charts.style import COLOURS, FONT, PRINT
from reports.metrics import COLUMNS
from tests.helpers.busy import busy_run
from tests.helpers.records import one_seed_run, realistic, study, trial
from tests.helpers.simulate import World, simulated_run
from tests.helpers.svg import items, pixels, texts

PUBLISHED = Path(__file__).parents[3] / "reports" / "published" / "openbookqa"


def pareto_picture(asked: StudyRecord, records: Sequence[TrialRecord]) -> Picture:
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
def _crowd() -> Analysis:
    arms = {f"an_arm_with_a_long_name_{n}": 0.3 + 0.02 * n for n in range(13)}
    sizes = {arm: 300 * 3**n for n, arm in enumerate(arms)}
    run = simulated_run(arms, World(seeds=2, questions=100), trials=2, parameters=sizes)
    asked = run.study.model_copy(update={"sampler": "random"})
    return analyse(
        Run(study=asked, searched=run.searched, confirmed=run.confirmed, freeze=run.freeze)
    )


@cache
def _published() -> Analysis:
    return analyse(Ledger(PUBLISHED).run())


def _searched() -> Analysis:
    run = _busy().run
    return analyse(Run(study=run.study, searched=run.searched))


@cache
def _busy_picture(name: str) -> Picture:
    return DRAWINGS[name].draw(_busy())


def _said(svg: bytes) -> set[str]:
    return {item.text for item in texts(svg)}


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_picture_is_the_same_in_bytes_however_often_it_is_drawn(name: str) -> None:
    first, second = _busy_picture(name), DRAWINGS[name].draw(_turned())
    assert first == second
    assert first.png.startswith(b"\x89PNG")


def test_equal_records_give_equal_bytes_in_any_order() -> None:
    records = realistic()
    first, second = pareto_picture(study(), records), pareto_picture(study(), records[::-1])
    assert first == second


def test_a_run_has_the_pictures_it_has_data_for() -> None:
    assert picture_names(_busy()) == list(DRAWINGS)
    assert picture_names(analyse(Run(study=study(), searched=()))) == ["pareto"]
    searched = analyse(Run(study=study(("lora",)), searched=(trial(),)))
    assert picture_names(searched) == ["pareto", "learning", "timing", "hypervolume"]
    alone = analyse(one_seed_run(study(("lora",)), [trial(test=300)]))
    assert "pairwise" not in picture_names(alone)


@pytest.mark.parametrize("make", [_busy, _crowd, _published, _searched])
def test_every_arm_is_named_once_and_no_name_covers_another_or_a_sign(
    make: Callable[[], Analysis],
) -> None:
    analysis = make()
    svg = pareto_of(analysis).svg
    bold = [item for item in texts(svg) if item.get("font-weight") == "bold"]
    names = [item for item in bold if item.get("font-size") == "12px" and not item.get("stroke")]
    arms = analysis.run.study.arms
    known = {arm if len(arm) <= 20 else f"{arm[:19]}…" for arm in arms}
    assert Counter(item.text for item in names).keys() == known
    assert len(names) == len(arms)
    assert {item.get("fill") for item in names} == {PRINT["ink"]}
    for one, other in itertools.combinations([item.box for item in names], 2):
        assert not one.overlap(other)
    signs = items(svg, "entries")
    for name, sign in itertools.product(names, signs):
        left, top, right, bottom = name.box
        assert not (left < sign.x < right and top < sign.y < bottom)


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_text_of_a_picture_covers_another(name: str) -> None:
    for analysis in (_busy(), _published()):
        found = texts(DRAWINGS[name].draw(analysis).svg)
        level = [item for item in found if item.text and "rotate" not in item.get("transform")]
        assert len(level) > 10
        for one, other in itertools.combinations(level, 2):
            assert one.get("stroke") or other.get("stroke") or not one.box.overlap(other.box), (
                one.text,
                other.text,
            )


def test_arms_have_colours_of_their_own_and_axes_say_what_they_are() -> None:
    svg = _busy_picture("pareto").svg
    strokes = {item.get("stroke") for item in items(svg, "entries")}
    assert strokes == set(COLOURS)
    assert {
        "accuracy (share of questions)",
        "trained parameters, head included (logarithmic)",
    } <= _said(svg)
    powers = [item for item in texts(svg) if item.text in {"1k", "10k", "100k", "1M", "10M"}]
    steps = [b.x - a.x for a, b in itertools.pairwise(powers)]
    assert len(powers) == 5
    assert steps == pytest.approx([steps[0]] * 4)


@pytest.mark.parametrize("name", DRAWINGS)
def test_all_text_is_in_the_font_that_vl_convert_brings(name: str) -> None:
    found = texts(_busy_picture(name).svg)
    assert {item.get("font-family") for item in found} == {FONT}


def test_every_seed_of_every_arm_is_a_dot() -> None:
    seeds = sum(len(entry.seeds.values) for entry in _busy().leaders)
    assert seeds == 34
    dots = items(_busy_picture("seeds").svg, "seeds")
    assert len(dots) == seeds
    rows = [item.y for item in texts(_busy_picture("seeds").svg) if "rank " in item.text]
    for dot in dots:
        assert min(abs(dot.y - row) for row in rows) < 33 / 2


def test_seeds_and_trials_of_the_search_are_dots_of_the_pareto_picture() -> None:
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=3, questions=200), trials=4)
    svg = pareto_of(analyse(run)).svg
    assert len(items(svg, "seeds")) == 2 * 3
    assert len(items(svg, "trials")) == 2 * 4
    assert len(items(svg, "intervals", "line")) == 2


@pytest.mark.parametrize(
    ("right", "place_of_full", "filled"),
    [
        (100, "dominated", "0"),
        # without the two questions that only it answers, which e^-2 of the resamples lack, it is no
        # better than what trains less
        (302, "ambiguous", "0.4"),
        (400, "front", "1"),
    ],
)
def test_the_sign_tells_a_candidates_place(right: int, place_of_full: str, filled: str) -> None:
    run = one_seed_run(
        study(("lora", "full")), [trial("lora", test=300), trial("full", test=right)]
    )
    analysis = analyse(run)
    assert [entry.place for entry in analysis.entries] == ["front", place_of_full]
    signs = {item.get("stroke"): item for item in items(pareto_of(analysis).svg, "entries")}
    assert signs[COLOURS[1]].get("fill-opacity") in (filled, "" if filled == "1" else filled)


def test_the_searchs_trials_are_called_optimistic_beside_tested_ones() -> None:
    assert "search, validation: optimistic" in _said(_busy_picture("pareto").svg)
    assert "best trial of an arm" in _said(pareto_of(_searched()).svg)


def test_the_matrix_names_every_difference_in_points_and_is_bold_where_it_differs() -> None:
    drawn = texts(_busy_picture("pairwise").svg)
    cells = Counter((item.text, item.get("font-weight") == "bold") for item in drawn)
    wanted = Counter(
        (show.points(side * pair.difference.value), pair.is_different)
        for pair in _busy().pairs
        for side in (1, -1)
    )
    assert not wanted - cells


def test_medians_stand_beside_the_bars_of_time() -> None:
    analysis = _published()
    drawn = Counter(item.text for item in texts(DRAWINGS["timing"].draw(analysis).svg))
    names = ("train_seconds", "inference_ms_p50", "batched_ms_p50")
    costs = [(COLUMNS[name], entry.cost(name)) for entry in analysis.leaders for name in names]
    assert len(costs) == 21
    assert not Counter(show.figure(metric, value) for metric, value in costs) - drawn


def test_timings_on_a_shared_device_are_called_not_comparable() -> None:
    apart, shared = (
        DRAWINGS["timing"].draw(analyse(Run(study=study(("lora",)), searched=(one,))))
        for one in (trial(), trial(shared=True))
    )
    assert b"device shared: not comparable" in shared.svg
    assert b"not comparable" not in apart.svg


def test_a_study_without_completed_trial_still_has_a_picture() -> None:
    pictures = pareto_picture(study(), [])
    assert b"no completed trial" in pictures.svg
    assert pictures.png.startswith(b"\x89PNG")


def test_one_trial_below_chance_can_be_drawn() -> None:
    assert pareto_picture(study(("lora",)), [trial(right=0)]).png


def test_trials_stopped_early_are_drawn_and_named_in_the_legend() -> None:
    early = trial("lora", 1, right=100, parameters=10, status=Status.PRUNED)
    whole = pareto_picture(study(("lora",)), [trial()])
    drawn_early = pareto_picture(study(("lora",)), [trial(), early])
    assert len(items(drawn_early.svg, "trials")) == 2
    assert b"stopped early" in drawn_early.svg
    assert b"stopped early" not in whole.svg
    assert b"no completed trial" in pareto_picture(study(("lora",)), [early]).svg


def test_foreign_names_are_drawn_as_they_are_and_warn_of_nothing() -> None:
    asked = study(("lora",), name="$x^{$", model="/home/ann/模型\x1b[2J")
    assert b"$x^{$" in pareto_picture(asked, [trial()]).svg
    assert b"ann" not in pareto_picture(asked, [trial()]).svg


@pytest.mark.parametrize("name", DRAWINGS)
def test_nothing_is_cut_off_at_the_edge_of_a_picture(name: str) -> None:
    for drawing in (_busy_picture(name), DRAWINGS[name].draw(_crowd())):
        found = pixels(drawing.png)
        for edge in (found[0], found[-1], found[:, 0], found[:, -1]):
            assert (edge == 255).all()
