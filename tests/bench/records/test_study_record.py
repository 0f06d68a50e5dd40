"""Runs: which records belong to a study, and what they count for."""

from __future__ import annotations

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from tests.helpers.records import study, trial
from tests.helpers.simulate import World, simulated_run

RUN = simulated_run({"full": 0.6, "lora": 0.55}, World(seeds=3), trials=2)
EVERYTHING = (*RUN.searched, *RUN.confirmed)


def again(records: tuple[TrialRecord, ...] = EVERYTHING, **changes: object) -> Run:
    """The same records as those of a study that has changed."""
    return Run.of(RUN.study.model_copy(update=changes), records, RUN.freeze)


def test_records_are_of_the_search_or_repeat_a_candidate() -> None:
    assert len(RUN.searched) == 4
    assert len(RUN.confirmed) == 6
    assert RUN.fresh_trials == (6, 6)
    assert RUN.test_scorings == 6


def test_what_is_no_longer_planned_still_counts_as_an_answer_to_the_test() -> None:
    assert RUN.freeze is not None
    scored = RUN.searched[1].model_copy(update={"test": RUN.confirmed[0].test})
    others = tuple(record for record in EVERYTHING if record.fingerprint != scored.fingerprint)
    run = again((*others, scored), planned={"full": 1, "lora": 1})

    assert [record.number for record in run.searched] == [0, 0]
    assert run.former == (scored,)
    assert run.test_scorings == 7


def test_records_of_other_settings_count_for_nothing() -> None:
    run = again(contexts={"full": "another", "lora": RUN.study.contexts["lora"]})

    assert {record.arm for record in EVERYTHING} == {"full", "lora"}
    assert {record.arm for record in (*run.searched, *run.confirmed)} == {"lora"}
    assert run.test_scorings == 3
    assert run.fresh_trials == (3, 3)


def test_a_candidate_that_was_stopped_is_waited_for_no_longer() -> None:
    assert RUN.freeze is not None
    first, second = RUN.freeze.candidates
    stopped = first.model_copy(update={"stopped": "out of reach"})
    freeze = RUN.freeze.model_copy(
        update={"candidates": (stopped, second), "seeds": (1001, 1002, 1003, 1004)}
    )

    assert Run.of(RUN.study, EVERYTHING, freeze).fresh_trials == (6, 7)


def test_an_answer_to_other_questions_is_no_answer() -> None:
    asked = study(("lora",))
    scored = trial("lora", test=300)
    assert scored.test is not None
    other = scored.model_copy(
        update={"test": scored.test.model_copy(update={"data": "ffff000011112222"})}
    )

    assert asked.is_tested(scored)
    assert not asked.is_tested(other)
    assert not asked.is_tested(trial("lora"))
