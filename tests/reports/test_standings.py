"""Which trial is chosen, and how arms are ordered."""

from __future__ import annotations

import itertools

import pytest

from bench.errors import StudyError
from bench.records.trial_record import Status
from reports.standings import best_trials, in_order, standings
from tests.helpers.records import broken, study, trial


def test_the_highest_validation_accuracy_is_chosen() -> None:
    records = [trial(number=0, right=200), trial(number=1, right=300), trial(number=2, right=250)]
    assert best_trials(records)["lora"].number == 1


def test_of_equal_accuracies_fewer_parameters_win_and_then_the_lower_number() -> None:
    records = [
        trial(number=0, parameters=900),
        trial(number=2, parameters=500),
        trial(number=1, parameters=500),
    ]
    for order in itertools.permutations(records):
        assert best_trials(order)["lora"].number == 1


def test_test_accuracy_plays_no_part_in_the_choice() -> None:
    records = [trial(number=0, right=200, test=400), trial(number=1, right=201, test=100)]
    assert best_trials(records)["lora"].number == 1


@pytest.mark.parametrize("status", [status for status in Status if status != Status.COMPLETED])
def test_only_completed_trials_can_be_chosen(status: Status) -> None:
    better = trial(number=1, right=400, status=status)
    assert best_trials([trial(number=0), better])["lora"].number == 0


def test_arms_are_ordered_by_validation_accuracy_whatever_the_test_scores_say() -> None:
    asked = study(("lora", "full"))
    records = [trial("full", right=300, test=280), trial("lora", right=290, test=285)]
    assert [row.arm for row in standings(asked, records)] == ["full", "lora"]
    records[1] = trial("lora", right=301)
    assert [row.arm for row in standings(asked, records)] == ["lora", "full"]


def test_records_come_by_arm_as_the_study_lists_them_then_by_number_and_seed() -> None:
    asked = study(("lora", "full"))
    records = [
        trial("full", 0),
        trial("lora", 10, seed=9),
        trial("lora", 2, seed=1002),
        trial("lora", 2, seed=1001),
    ]
    found = [(r.arm, r.number, r.seed) for r in in_order(asked, records)]
    assert found == [("lora", 2, 1001), ("lora", 2, 1002), ("lora", 10, 9), ("full", 0, 17)]


def test_any_metric_can_decide_the_order_and_arms_without_it_come_last() -> None:
    asked = study(("prefix", "full", "lora"))
    records = [trial("full"), trial("lora")]
    ordered = standings(asked, records, "trained_parameters")
    assert [row.arm for row in ordered] == ["lora", "full", "prefix"]
    with pytest.raises(StudyError):
        standings(asked, records, "charm")


def test_equal_arms_are_ordered_by_parameters_and_then_as_the_study_lists_them() -> None:
    asked = study(("full", "b", "a", "lora"))
    records = [trial(arm) for arm in ("a", "b", "full", "lora")]
    assert [row.arm for row in standings(asked, records)] == ["b", "a", "lora", "full"]


def test_every_end_is_counted_and_nothing_is_dropped() -> None:
    records = [
        broken("lora", 5, Status.PRUNED, "stopped"),
        trial(number=0),
        broken("lora", 1, Status.DIVERGED, "the loss became nan"),
        broken("lora", 2, Status.OUT_OF_MEMORY),
        broken("lora", 3, Status.SKIPPED),
        broken("lora", 4, Status.PRUNED),
    ]
    (row,) = standings(study(("lora",), planned=8), records)
    assert (row.completed, row.failed, row.pruned, row.missing) == (1, 2, 2, 2)
    assert row.reason == "the loss became nan"
    assert row.said() == (
        "1 completed, 2 pruned, 1 skipped, 1 out of memory, 1 diverged, 2 missing"
    )


def test_an_arm_that_the_study_no_longer_names_is_still_a_row() -> None:
    rows = standings(study(("full",)), [trial("full"), trial("old", right=100)])
    assert [(row.arm, row.planned) for row in rows] == [("full", 4), ("old", None)]
