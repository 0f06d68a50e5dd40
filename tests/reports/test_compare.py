from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.records.spec import TrainSettings
from bench.records.study_record import Run
from bench.records.trial_record import Environment, Status, TrialRecord
from reports.compare import RunComparison, compare_runs
from reports.statistics.pairwise import p_of_no_difference
from tests.helpers.altered import changed, one_seed, recoded, updated
from tests.helpers.records import ENVIRONMENT
from tests.helpers.simulate import World, confirming, simulated_run

ACCURACIES = {"full": 0.66, "lora": 0.64, "bitfit": 0.6}
LAPTOP = ENVIRONMENT.model_copy(update={"device": "a laptop", "threads": 8})


@functools.cache
def first_run() -> Run:
    return simulated_run(ACCURACIES, seed=1)


def drifted(found: RunComparison) -> list[str]:
    return [drift.first.name for drift in found.drifts if drift.is_drift]


def test_a_run_does_not_differ_from_itself() -> None:
    run = first_run()
    found = compare_runs(run, run)

    assert found.asked == {}
    assert [drift.first.name for drift in found.drifts] == ["full-000", "lora-000", "bitfit-000"]
    assert [drift.p for drift in found.drifts] == [1.0, 1.0, 1.0]
    assert all(drift.same_code for drift in found.drifts)
    assert not found.has_drifted
    (jitter,) = found.jitters
    assert (jitter.same_code, jitter.same_environment) == (True, True)
    assert jitter.equal == len(jitter.twins) == 3 * 4 + 3 * 5
    assert [(ratio.median, ratio.low, ratio.high) for ratio in found.ratios] == [(1, 1, 1)] * 3


def test_an_arm_that_lost_ten_points_has_drifted_and_the_others_have_not() -> None:
    worse = recoded(simulated_run(ACCURACIES | {"lora": 0.54}, seed=1))
    found = compare_runs(first_run(), worse)

    assert drifted(found) == ["lora-000"]
    (lora,) = [drift for drift in found.drifts if drift.is_drift]
    assert not lora.same_code
    assert lora.difference is not None
    assert lora.difference.value == pytest.approx(
        lora.second.accuracy.value - lora.first.accuracy.value
    )
    assert lora.difference.high < 0


def compared_twice(world: World, count: int) -> Iterator[RunComparison]:
    """So many comparisons of two runs of one configuration on seeds that are not all the same."""
    base = simulated_run({"lora": 0.6}, world, seed=0, trials=1)
    generator, skill = np.random.default_rng(0), world.skill(0.6)
    for _ in range(count):
        right = world.right([skill] * 2, generator)
        runs = []
        for place, rows in enumerate(right):
            seeds = tuple(range(1001 + place, 1001 + place + world.seeds))
            trials = [
                confirming(base.searched[0], seed, row, row, generator)
                for seed, row in zip(seeds, rows, strict=True)
            ]
            freeze = base.freeze and base.freeze.model_copy(update={"seeds": seeds})
            runs.append(replace(base, confirmed=tuple(trials), freeze=freeze))
        yield compare_runs(*runs)


def test_runs_of_equal_truth_are_rarely_called_drifted() -> None:
    found = compared_twice(World(taste_sd=0.0, questions=100), 12)

    assert sum(one.has_drifted for one in found) <= 2  # at most one is to be expected


def test_two_single_seeds_are_never_called_drifted_however_much_seeds_move() -> None:
    for found in compared_twice(World(seeds=1, taste_sd=0.0, seed_sd=0.6), 12):
        (drift,) = found.drifts
        assert drift.difference is not None
        assert (drift.p, drift.is_drift) == (None, None)
        assert not found.has_drifted


def verdicts(first: Run, second: Run) -> list[bool | None]:
    return [drift.is_drift for drift in compare_runs(first, second).drifts]


def failing_lora(record: TrialRecord) -> TrialRecord:
    """A trial of LoRA with its first 100 test answers wrong."""
    if record.arm != "lora" or record.test is None:
        return record
    wrong = (1,) * 100 + record.test.predictions[100:]
    return record.model_copy(update={"test": record.test.model_copy(update={"predictions": wrong})})


def test_one_trial_twice_is_judged_if_code_seed_and_environment_are_the_same() -> None:
    once = one_seed(first_run())
    worse = changed(once, failing_lora)

    assert verdicts(once, once) == [False] * 3
    assert verdicts(once, worse) == [False, True, False]
    assert verdicts(once, recoded(worse)) == [None] * 3
    assert verdicts(once, changed(worse, updated(environment=LAPTOP))) == [None] * 3
    assert verdicts(once, one_seed(first_run(), 1002)) == [None] * 3


def test_one_seed_against_many_cannot_be_judged() -> None:
    assert verdicts(one_seed(first_run()), first_run()) == [None] * 3


def test_what_cannot_be_judged_does_not_count_in_the_correction_of_the_rest() -> None:
    worse = recoded(simulated_run(ACCURACIES | {"lora": 0.6}, seed=1))
    kept = tuple(r for r in worse.confirmed if r.arm == "lora" or r.seed == 1001)
    found = compare_runs(first_run(), replace(worse, confirmed=kept)).drifts
    (lora,) = [drift for drift in found if drift.is_judged]

    assert lora.difference is not None
    raw = p_of_no_difference(lora.second.right, lora.first.right, lora.difference)
    assert (len(found), lora.first.name) == (3, "lora-000")
    assert lora.p == pytest.approx(raw)


def test_another_version_of_the_code_is_the_same_configuration_and_told() -> None:
    found = compare_runs(first_run(), recoded(first_run()))

    assert len(found.drifts) == 3
    assert [drift.same_code for drift in found.drifts] == [False] * 3
    (jitter,) = found.jitters
    assert not jitter.same_code
    assert jitter.equal == len(jitter.twins)
    assert found.ratios == ()  # other code may well take another time


def test_after_a_search_on_another_seed_the_code_is_not_called_another() -> None:
    other = recoded(first_run())
    searched = tuple(r.model_copy(update={"seed": 18}) for r in other.searched)
    found = compare_runs(first_run(), replace(other, searched=searched))

    assert [drift.same_code for drift in found.drifts] == [None] * 3


def test_what_the_studies_were_asked_is_told_in_the_words_of_their_task() -> None:
    run = first_run()
    words = run.study.words.model_copy(update={"example": "text", "examples": "texts"})
    other = {"words": words, "task": "sequence_classification", "objective": "macro_f1"}
    asked = compare_runs(run, replace(run, study=run.study.model_copy(update=other))).asked

    assert asked["task"] == ("multiple_choice", "sequence_classification")
    assert asked["objective"] == ("accuracy", "macro_f1")
    assert asked["test questions"][0] == asked["test texts"][1]


def test_other_test_questions_are_not_compared() -> None:
    run = first_run()
    other = changed(
        run, lambda r: r.model_copy(update={"test": r.test and r.test.model_copy(
            update={"data": "another"})})
    )  # fmt: skip
    found = compare_runs(run, other)

    assert [(drift.difference, drift.p) for drift in found.drifts] == [(None, None)] * 3
    assert not found.has_drifted


def test_environments_are_not_pooled_and_what_differs_is_listed() -> None:
    run = first_run()

    def move_two_seeds(record: TrialRecord) -> TrialRecord:
        late = bool(record.confirms) and record.seed >= 1004
        return record.model_copy(update={"environment": LAPTOP}) if late else record

    found = compare_runs(run, changed(run, move_two_seeds))

    assert found.apart == {"device": ("AMD EPYC 7B13", "a laptop"), "threads": ("2", "8")}
    lora = [drift for drift in found.drifts if drift.first.name == "lora-000"]
    assert [drift.second.environment for drift in lora] == [0, 1]
    assert [drift.second.seeds for drift in lora] == [(1001, 1002, 1003), (1004, 1005)]
    assert all(drift.first.seeds == (1001, 1002, 1003, 1004, 1005) for drift in lora)
    assert [j.same_environment for j in found.jitters] == [True, False]
    assert {ratio.trials for ratio in found.ratios} == {3 * 4 + 3 * 3}


def test_another_kernel_of_the_system_is_no_other_environment() -> None:
    run = first_run()
    other = changed(run, updated(environment=ENVIRONMENT.model_copy(update={"system": "Linux 7"})))

    assert len(compare_runs(run, other).environments) == 1


def test_a_missing_package_is_a_difference() -> None:
    run = first_run()
    bare = Environment(**{**ENVIRONMENT.model_dump(), "packages": {"torch": "2.13.0"}})

    found = compare_runs(run, changed(run, updated(environment=bare)))

    assert found.apart == {"transformers": ("5.23.0", "")}
    assert found.ratios == ()


def twice_as_slow(record: TrialRecord) -> TrialRecord:
    assert record.inference is not None
    single = record.inference.single
    slow = single.model_copy(update={"p50": 2 * single.p50})
    return record.model_copy(
        update={"inference": record.inference.model_copy(update={"single": slow})}
    )


def test_timings_are_ratios_of_the_second_run_over_the_first() -> None:
    run = first_run()
    found = compare_runs(run, changed(run, twice_as_slow))

    ratios = {ratio.metric.name: ratio.median for ratio in found.ratios}
    assert ratios == {"train_seconds": 1.0, "inference_ms_p50": 2.0, "batched_ms_p50": 1.0}


def test_timings_on_a_shared_device_are_left_out() -> None:
    run = first_run()

    def share_first(record: TrialRecord) -> TrialRecord:
        if record.arm != "full" or record.seconds is None:
            return record
        seconds = record.seconds.model_copy(update={"device_shared": True})
        return record.model_copy(update={"seconds": seconds})

    found = compare_runs(run, changed(run, share_first))

    assert found.shared == 4 + 5
    assert {ratio.trials for ratio in found.ratios} == {2 * (4 + 5)}


def test_a_trial_that_came_out_otherwise_the_second_time_is_the_jitter() -> None:
    run = first_run()

    def jog(record: TrialRecord) -> TrialRecord:
        if record.trial != "lora-002" or record.accuracy is None:
            return record
        answers = (9, 9, *record.accuracy.predictions[2:])
        worse = record.accuracy.validation - 0.004
        accuracy = record.accuracy.model_copy(update={"predictions": answers, "validation": worse})
        return record.model_copy(update={"accuracy": accuracy})

    (jitter,) = compare_runs(run, changed(run, jog)).jitters

    assert jitter.equal == len(jitter.twins) - 1
    assert jitter.worst.first.trial == "lora-002"
    assert jitter.worst.validation_apart == pytest.approx(-0.004)
    assert jitter.worst.answers_apart == 2


def test_a_trial_that_ended_otherwise_is_named() -> None:
    run = first_run()

    def fail(record: TrialRecord) -> TrialRecord:
        gone = {"status": Status.FAILED, "accuracy": None, "environment": None}
        return record.model_copy(update=gone) if record.trial == "full-003" else record

    found = compare_runs(run, changed(run, fail))

    assert [twin.first.trial for twin in found.ends] == ["full-003"]
    assert sum(len(jitter.twins) for jitter in found.jitters) == 26


def test_what_was_asked_otherwise_is_another_configuration() -> None:
    run = first_run()
    longer = replace(run, study=run.study.model_copy(update={"settings": TrainSettings(epochs=9)}))
    found = compare_runs(run, longer)

    assert found.asked == {"epochs": ("3", "9")}
    assert (found.drifts, found.jitters) == ((), ())
    assert found.only == (("full-000", "lora-000", "bitfit-000"),) * 2


def test_an_arm_may_have_another_name() -> None:
    run = first_run()
    named = recoded(changed(run, lambda r: r.model_copy(update={"arm": f"my-{r.arm}"})))
    arms = {f"my-{arm}": arm for arm in run.study.arms}
    study = run.study.model_copy(update={"arms": arms, "planned": dict.fromkeys(arms, 4)})
    found = compare_runs(run, replace(named, study=study))

    assert [(d.first.name, d.second.name) for d in found.drifts] == [
        ("full-000", "my-full-000"), ("lora-000", "my-lora-000"), ("bitfit-000", "my-bitfit-000"),
    ]  # fmt: skip
