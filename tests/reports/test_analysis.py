"""The figures of a whole run: leaders, places, and runs of which less is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.errors import StudyError
from bench.records.study_record import Candidate, Freeze, Run
from bench.records.trial_record import Status, TrialRecord
from reports.analysis import Analysis, analyse
from tests.helpers.records import ARMS, broken, realistic, study
from tests.helpers.simulate import World, simulated_run

TRUE = {"full": 0.65, "lora": 0.64, "bitfit": 0.55, "adapter": 0.5, "linear": 0.3}
SIZES = {"full": 22_713_601, "lora": 74_113, "bitfit": 26_113, "adapter": 301_000, "linear": 385}


@pytest.fixture(scope="module")
def found() -> Analysis:
    return analyse(simulated_run(TRUE, parameters=SIZES, seed=1))


def _frozen(records: list[TrialRecord]) -> Run:
    """A run whose tested search trials are its frozen ones."""
    candidates = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=r.number, is_best=True,
                  on_front=False)
        for r in records
        if r.test
    )  # fmt: skip
    freeze = Freeze(searched="0" * 16, seeds=(), candidates=candidates)
    return Run(study=study(), searched=tuple(records), freeze=freeze)


def test_leaders_come_by_rank_and_entries_by_parameters(found: Analysis) -> None:
    assert {entry.arm for entry in found.leaders[:2]} == {"full", "lora"}
    assert [entry.arm for entry in found.leaders[2:]] == ["bitfit", "adapter", "linear"]
    assert [entry.rank for entry in found.leaders] == [1, 1, 3, 4, 5]
    assert [entry.arm for entry in found.entries] == sorted(TRUE, key=lambda arm: SIZES[arm])


def test_every_accuracy_is_near_the_truth_and_has_its_seeds(found: Analysis) -> None:
    for entry in found.entries:
        assert entry.accuracy.low < entry.accuracy.value < entry.accuracy.high
        assert entry.accuracy.value == pytest.approx(TRUE[entry.arm], abs=0.06)
        assert entry.accuracy.of_seeds
        assert len(entry.seeds.values) == 5
        assert entry.seeds.mean == pytest.approx(entry.accuracy.value)
        assert entry.seeds.sd is not None
        assert entry.seeds.low <= entry.seeds.iqm <= entry.seeds.high


def test_places_on_the_front_come_with_their_probability(found: Analysis) -> None:
    by_arm = {entry.arm: entry for entry in found.entries}
    assert {arm: by_arm[arm].place for arm in ("linear", "bitfit", "lora", "adapter")} == {
        "linear": "front",
        "bitfit": "front",
        "lora": "front",
        "adapter": "dominated",
    }
    assert by_arm["full"].place == "ambiguous"
    assert not by_arm["adapter"].on_front
    assert by_arm["adapter"].front_probability == 0


def test_better_than_next_is_said_of_all_leaders_but_the_last(found: Analysis) -> None:
    first, *others, last = found.leaders
    assert first.better_than_next is not None
    assert 0.5 <= first.better_than_next < 0.95
    assert all(entry.better_than_next for entry in others)
    assert last.better_than_next is None


def test_every_two_leaders_are_a_pair_the_higher_one_first(found: Analysis) -> None:
    board = [entry.arm for entry in found.leaders]
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        (first, second) for place, first in enumerate(board) for second in board[place + 1 :]
    ]
    assert all(pair.p <= pair.p_holm for pair in found.pairs)
    assert {pair.mcnemar[1] for pair in found.pairs} == {5}
    assert found.detectable is not None
    assert 0.03 < found.detectable < 0.06
    assert len(found.cochran_p) == 5
    assert max(found.cochran_p) < 1e-6


def test_the_hypervolume_has_an_interval_and_a_curve_per_arm(found: Analysis) -> None:
    volume = found.hypervolume
    assert volume is not None
    assert volume.low is not None
    assert volume.high is not None
    assert volume.low < volume.value < volume.high
    assert set(found.hypervolume_by_trial) == {"", *TRUE}


def test_costs_are_medians_over_the_runs(found: Analysis) -> None:
    entry = found.leaders[0]
    seconds = sorted(run.seconds.train for run in entry.confirmed.runs if run.seconds)
    assert entry.cost("train_seconds") == seconds[2]
    with pytest.raises(StudyError):
        entry.cost("charm")


def test_a_cost_that_was_never_measured_is_none() -> None:
    run = simulated_run({"lora": 0.6})
    runs = tuple(record.model_copy(update={"peak_bytes": None}) for record in run.confirmed)
    assert analyse(replace(run, confirmed=runs)).leaders[0].cost("peak_bytes") is None


def test_equal_runs_give_equal_figures(found: Analysis) -> None:
    again = simulated_run(TRUE, parameters=SIZES, seed=1)
    assert analyse(again) == found
    shuffled = replace(again, searched=again.searched[::-1], confirmed=again.confirmed[::-1])
    assert analyse(shuffled).leaders == found.leaders


def test_importances_are_passed_on() -> None:
    run = simulated_run({"lora": 0.6})
    assert analyse(run).importances == {}
    assert analyse(run, {"lora": {"rank": 1.0}}).importances == {"lora": {"rank": 1.0}}


def test_a_run_without_freeze_has_only_what_the_search_tells() -> None:
    found = analyse(Run(study=study(), searched=tuple(realistic())))
    assert (found.leaders, found.entries, found.pairs, found.cochran_p) == ((), (), (), ())
    assert (found.hypervolume, found.detectable) == (None, None)
    assert set(found.hypervolume_by_trial) == {"", *ARMS}


def test_a_run_without_completed_trial_has_nothing() -> None:
    for searched in ((), (broken("lora", 0),)):
        found = analyse(Run(study=study(), searched=searched))
        assert found.hypervolume_by_trial == {}
        assert found.expected_best == {}


def test_an_unconfirmed_search_is_judged_by_its_only_seed() -> None:
    found = analyse(_frozen(realistic()))
    assert len(found.leaders) == len(ARMS)
    assert not any(entry.accuracy.of_seeds for entry in found.leaders)
    assert {entry.seeds.sd for entry in found.leaders} == {None}
    assert not any(pair.difference.of_seeds for pair in found.pairs)
    assert {pair.mcnemar[1] for pair in found.pairs} == {1}
    assert len(found.cochran_p) == 1


def test_one_arm_is_first_and_has_no_pairs() -> None:
    found = analyse(simulated_run({"lora": 0.6}))
    (entry,) = found.leaders
    assert (entry.rank, entry.better_than_next, entry.place) == (1, None, "front")
    assert found.pairs == ()


def test_lost_seeds_leave_the_others_to_speak() -> None:
    run = simulated_run({"lora": 0.6, "full": 0.5})
    lost = run.confirmed[0]
    assert lost.arm == "lora"
    broke = lost.model_copy(update={"status": Status.DIVERGED, "test": None, "accuracy": None})
    found = analyse(replace(run, confirmed=(broke, *run.confirmed[1:])))
    assert [len(entry.seeds.values) for entry in found.leaders] == [4, 5]
    assert found.pairs[0].mcnemar[1] == len(found.cochran_p) == 4
    assert len(found.leaders[0].confirmed.lost) == 1


def test_other_candidates_are_entries_and_no_leaders() -> None:
    run = simulated_run({"lora": 0.6, "full": 0.5})
    assert run.freeze is not None
    other = run.freeze.candidates[1].model_copy(update={"is_best": False})
    freeze = run.freeze.model_copy(update={"candidates": (run.freeze.candidates[0], other)})
    found = analyse(replace(run, freeze=freeze))
    assert [entry.arm for entry in found.leaders] == ["lora"]
    assert [(entry.arm, entry.rank) for entry in found.entries] == [("lora", 1), ("full", None)]


def test_scores_on_other_test_questions_are_not_compared() -> None:
    run = simulated_run({"lora": 0.6, "full": 0.5}, World(seeds=3))

    def former(record: TrialRecord) -> TrialRecord:
        assert record.test is not None
        score = record.test.model_copy(
            update={"data": "ffff000011112222", "predictions": (0,), "answers": (0,)}
        )
        return record.model_copy(update={"test": score})

    changed = tuple(
        former(record) if record.arm == "full" or place == 0 else record
        for place, record in enumerate(run.confirmed)
    )
    found = analyse(replace(run, confirmed=changed))
    (entry,) = found.entries
    assert (entry.arm, len(entry.seeds.values), len(entry.confirmed.runs)) == ("lora", 2, 3)
