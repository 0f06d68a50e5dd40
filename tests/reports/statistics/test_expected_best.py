"""Expected best of n: against all subsets, and of which trials it may be said."""

from __future__ import annotations

import itertools
import statistics

import pytest

from bench.records.study_record import Run
from bench.records.trial_record import Status
from reports.statistics.expected_best import by_arm, expected_best
from tests.helpers.records import broken, study, trial


def test_it_is_the_mean_over_all_subsets() -> None:
    values = [0.31, 0.52, 0.44, 0.52, 0.29, 0.61, 0.5]
    expected = [
        statistics.fmean(max(subset) for subset in itertools.combinations(values, count))
        for count in range(1, len(values) + 1)
    ]
    assert expected_best(values) == pytest.approx(expected, rel=1e-12)


def test_it_is_stable_for_ten_thousand_trials() -> None:
    # Of the numbers 1 … N the expected largest of n is n (N + 1) / (n + 1).
    count = 10_000
    found = expected_best([float(value) for value in range(1, count + 1)])
    assert found == pytest.approx(
        [drawn * (count + 1) / (drawn + 1) for drawn in range(1, count + 1)], rel=1e-9
    )


def test_one_trial_or_none() -> None:
    assert expected_best([0.4]) == (0.4,)
    assert expected_best([]) == ()


def test_only_random_trials_are_counted_and_known_good_starts_are_none() -> None:
    records = [trial(number=0, right=450), trial(number=1, right=300), trial(number=2, right=200)]
    run = Run(study=study(("lora",), sampler="random"), searched=tuple(records))
    assert by_arm(run) == {"lora": pytest.approx((0.5, 0.6))}


def test_trials_of_a_sampler_that_learns_are_not_independent() -> None:
    run = Run(study=study(("lora",), sampler="tpe"), searched=(trial(number=1),))
    assert by_arm(run) == {}


def test_an_arm_with_trials_that_were_stopped_early_has_none() -> None:
    records = [
        trial("full", 1),
        trial(number=1),
        trial(number=2).model_copy(update={"status": Status.PRUNED}),
    ]
    run = Run(study=study(("full", "lora"), sampler="random"), searched=tuple(records))
    assert list(by_arm(run)) == ["full"]


def test_a_draw_that_comes_to_nothing_counts_as_guessing_and_an_accident_not_at_all() -> None:
    records = [
        trial(number=1, right=300),
        broken("lora", 2, Status.DIVERGED),
        broken("lora", 3, Status.TIMED_OUT),
    ]
    run = Run(study=study(("lora", "full"), sampler="random"), searched=tuple(records))
    assert by_arm(run) == {"lora": pytest.approx(((0.6 + 0.25) / 2, 0.6))}


def test_an_arm_without_any_result_has_none() -> None:
    searched = (trial(number=0), broken("lora", 1, Status.DIVERGED))
    assert by_arm(Run(study=study(("lora",), sampler="random"), searched=searched)) == {}
