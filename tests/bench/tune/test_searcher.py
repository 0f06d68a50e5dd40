"""The conductor: every way a trial can end, told by Tune's calls alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from bench.errors import StorageError
from bench.records.events import BudgetOver, Died, Ended, Event, Halted, Scored, TrialOutline
from bench.records.spec import TrialSpec
from bench.records.study_record import Halving
from bench.records.trial_record import Status, TestScore, TrialRecord
from bench.storage.ledger import Ledger
from bench.study.run_options import RunOptions
from bench.training.trial import Progress
from bench.tune.budget import Meter
from bench.tune.plan import Plan
from bench.tune.retry import GRACE
from bench.tune.rungs import Rungs
from bench.tune.searcher import Conductor
from bench.tune.test_scoring import Exam
from bench.tune.worker import PROGRESS, SCORE, SCORING, SPEC, STORAGE, Scoring
from tests.bench.tune.test_budget import Clock
from tests.bench.tune.test_plan import FULL, LORA, ended, spec
from tests.helpers.trials import make_questions

RULE = Halving(reduction_factor=3, grace_epochs=1)


def asked(**options: Any) -> RunOptions:
    """How a study is run, as typed."""
    return RunOptions.model_validate(options)


class Stage:
    """A conductor with a clock, a ledger and ears."""

    def __init__(
        self,
        folder: Path,
        *,
        trials: int = 4,
        rule: Halving | None = RULE,
        options: RunOptions | None = None,
    ) -> None:
        self.clock = Clock()
        self.ledger = Ledger(folder)
        self.events: list[Event] = []
        self.specs: dict[int, TrialSpec] = {}
        self.asked: list[int] = []
        self.plan = Plan(
            [FULL],
            planned={"full": trials},
            sampler="random",
            seed=0,
            make_spec=spec,
            rungs=Rungs(rule, 3),
        )
        meter = Meter(asked(time_budget="60s"), clock=self.clock)
        exam = Exam(self.choose, self.ledger, self.events.append)
        self.conductor = Conductor(
            self.plan, self.ledger, self.events.append, exam, meter=meter, options=options
        )

    def choose(self, records: list[TrialRecord]) -> list[Scoring]:
        self.asked = [record.number for record in records]
        completed = (record for record in records if record.status is Status.COMPLETED)
        best = max(
            completed, key=lambda r: r.accuracy.validation if r.accuracy else 0, default=None
        )
        if best is None:
            return []
        return [Scoring(spec=self.specs[best.number], test=make_questions(4), data="test")]

    def begin(self, name: str) -> TrialSpec:
        given = self.conductor.suggest(name)
        assert isinstance(given, dict)
        self.conductor.began(name)
        found: TrialSpec = given[SPEC]
        self.specs[found.number] = found
        return found

    def score(self, name: str) -> Scoring:
        """Begins a scoring."""
        given = self.conductor.suggest(name)
        assert isinstance(given, dict)
        self.conductor.began(name)
        scoring: Scoring = given[SCORING]
        return scoring

    def report(self, name: str, given: TrialSpec, *per_epoch: float) -> bool:
        """Plays an epoch as Tune does; returns whether the trial was stopped."""
        result = progress(given, *per_epoch)
        stopped = self.conductor.stops(name, result) or result[PROGRESS].ended
        if stopped:
            self.conductor.on_trial_complete(name, result)
        else:
            self.conductor.on_trial_result(name, result)
        return stopped

    def statuses(self) -> list[Status]:
        return sorted(record.status for record in self.ledger.records().readable.values())


def progress(given: TrialSpec, *per_epoch: float) -> dict[str, Any]:
    done = len(per_epoch) == 3
    record = ended(given, max(per_epoch))
    assert record.accuracy is not None
    accuracy = record.accuracy.model_copy(update={"per_epoch": per_epoch})
    kept = {"accuracy": accuracy, "status": Status.COMPLETED if done else Status.PRUNED}
    return {
        PROGRESS: Progress(
            epoch=len(per_epoch),
            validation=per_epoch[-1],
            record=record.model_copy(update=kept),
            ended=done,
        )
    }


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def run(stage: Stage, name: str, *per_epoch: float) -> TrialSpec:
    given = stage.begin(name)
    for epoch in range(1, len(per_epoch) + 1):
        if stage.report(name, given, *per_epoch[:epoch]):
            break
    return given


def test_a_trial_stopped_at_a_rung_is_pruned_in_ledger_and_optuna(stage: Stage) -> None:
    run(stage, "a", 0.6, 0.6, 0.6)
    worse = run(stage, "b", 0.5, 0.9, 0.9)

    record = stage.ledger.records().readable[worse.fingerprint]
    assert (record.status, record.accuracy and record.accuracy.per_epoch) == ("pruned", (0.5,))
    assert record.reason == "stopped after 1 of 3 epochs: place 2 of 2 in its arm, the best goes on"
    states = [trial.state for trial in stage.plan.studies["full"].trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED]
    assert stage.events[-1] == Ended(record=record)


def test_an_interrupted_trial_is_not_pruned(stage: Stage) -> None:
    given = stage.begin("a")
    stage.report("a", given, 0.6)
    stage.conductor.on_trial_complete("a", progress(given, 0.6))

    assert stage.statuses() == []
    assert stage.conductor.budget_spent is None


def test_a_second_attempt_after_a_rung_goes_on_and_its_attempts_are_told(stage: Stage) -> None:
    run(stage, "a", 0.5, 0.5, 0.5)
    given = stage.begin("b")
    assert not stage.report("b", given, 0.6)
    stage.conductor.began("b")  # the worker died
    for scores in ((0.55,), (0.55, 0.55), (0.55, 0.55, 0.55)):
        stage.report("b", given, *scores)
    run(stage, "c", 0.4)

    found = {record.number: record for record in stage.conductor.records}
    assert (found[1].status, found[1].attempts) == (Status.COMPLETED, 2)
    assert "place 3 of 3" in str(found[2].reason)


def test_a_spent_budget_gives_out_nothing_and_stops_trials_after_their_epoch(stage: Stage) -> None:
    run(stage, "a", 0.5, 0.5, 0.5)
    better = stage.begin("b")
    assert not stage.report("b", better, 0.6)
    stage.clock.now += 60
    assert stage.conductor.suggest("c") is None
    assert stage.report("b", better, 0.6, 0.6)

    assert stage.asked == []
    given = stage.conductor.suggest("c")
    assert isinstance(given, dict)
    assert given[SCORING].spec == stage.specs[0]
    assert stage.conductor.suggest("d") is None
    stage.conductor.on_trial_complete("c", {SCORE: SCORED})
    assert stage.conductor.suggest("d") == "FINISHED"
    assert stage.statuses() == [Status.COMPLETED]
    spent = stage.conductor.budget_spent
    assert spent is not None
    assert (spent.budget, spent.stopped) == ("60s", 1)
    told = [event for event in stage.events if isinstance(event, BudgetOver | Halted)]
    assert told == [BudgetOver(budget="60s", running=1), Halted(trial=TrialOutline.of(better))]


def test_what_ends_by_itself_after_the_budget_is_kept(stage: Stage) -> None:
    first, second = stage.begin("a"), stage.begin("b")
    stage.report("a", first, 0.5)
    stage.report("a", first, 0.5, 0.5)
    stage.clock.now += 60
    assert stage.report("a", first, 0.5, 0.5, 0.5)
    assert stage.report("b", second, 0.1)
    stage.conductor.suggest("c")

    assert stage.statuses() == [Status.COMPLETED, Status.PRUNED]
    spent = stage.conductor.budget_spent
    assert spent is not None
    assert spent.stopped == 0


def test_an_interrupt_after_the_budget_is_an_interrupt(stage: Stage) -> None:
    given = stage.begin("a")
    stage.clock.now += 60
    stage.conductor.suggest("b")
    stage.conductor.on_trial_complete("a", progress(given, 0.5))

    assert stage.conductor.budget_spent is None


def test_a_whole_search_was_not_ended_by_its_budget(tmp_path: Path) -> None:
    stage = Stage(tmp_path, trials=1)
    run(stage, "a", 0.5, 0.5, 0.5)
    stage.clock.now += 60

    stage.score("b")
    stage.conductor.on_trial_complete("b", {SCORE: SCORED})
    assert stage.conductor.suggest("c") == "FINISHED"
    assert stage.conductor.budget_spent is None
    assert not any(isinstance(event, BudgetOver) for event in stage.events)


def test_a_pruned_record_of_another_search_is_not_taken_over(tmp_path: Path) -> None:
    (given,) = [Stage(tmp_path / "first").begin("a")]
    stopped = TrialRecord.of(given, Status.PRUNED, reason="among others")
    Ledger(tmp_path / "run").write(stopped)

    assert Stage(tmp_path / "run").begin("a").fingerprint == given.fingerprint


def test_a_resumed_plan_keeps_pruned_records_only_where_trials_are_stopped() -> None:
    record = progress(spec(LORA, 0, {"learning_rate": 1e-3, "rank": 4}), 0.5)[PROGRESS].record
    for rule, kept in ((RULE, True), (None, False)):
        plan = Plan(
            [LORA],
            planned={"lora": 1},
            sampler="tpe",
            seed=0,
            make_spec=spec,
            rungs=Rungs(rule, 3),
        )
        assert plan.keep(record) is kept
        assert plan.left == (0 if kept else 1)
        following = plan.next()
        assert following is None if kept else following is not None
        if following is not None:
            assert following.fingerprint == record.fingerprint


SCORED = TestScore(accuracy=0.75, predictions=(0, 1, 2, 3), answers=(0, 1, 2, 0), data="test")


def test_the_test_is_sat_when_every_trial_has_ended_and_by_the_best_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path, trials=2, rule=None)
    first, second = stage.begin("a"), stage.begin("b")
    stage.report("a", first, 0.5, 0.5, 0.5)
    assert stage.conductor.suggest("c") is None
    stage.report("b", second, 0.6, 0.6, 0.6)

    assert stage.score("c").spec == second
    assert stage.asked == [0, 1]
    assert stage.conductor.suggest("d") is None
    stage.conductor.on_trial_complete("c", {SCORE: SCORED})
    assert stage.conductor.suggest("d") == "FINISHED"
    record = Ledger(tmp_path).records().readable[second.fingerprint]
    assert record.test == SCORED
    assert isinstance(stage.events[-1], Scored)


def test_a_test_that_could_not_be_sat_is_told_with_the_trial(tmp_path: Path) -> None:
    stage = Stage(tmp_path, trials=1)
    run(stage, "a", 0.5, 0.5, 0.5)
    for name in ("b", "c", "d"):
        given = stage.score(name).spec
        assert stage.conductor.suggest("e") is None
        stage.conductor.on_trial_complete(name, error=True)
        stage.conductor.died(name, "…\nnode gone")

    record = Ledger(tmp_path).records().readable[given.fingerprint]
    assert record.status is Status.COMPLETED
    assert record.test is None
    assert record.reason == "could not be scored on test: its worker died in attempt 3: node gone"


def test_an_interrupted_test_leaves_the_trial_as_it_was(tmp_path: Path) -> None:
    stage = Stage(tmp_path, trials=1)
    run(stage, "a", 0.5, 0.5, 0.5)
    given = stage.score("b").spec
    before = Ledger(tmp_path).records().readable[given.fingerprint]
    stage.conductor.on_trial_complete("b", None)

    assert Ledger(tmp_path).records().readable[given.fingerprint] == before


def die(stage: Stage, name: str, error: str = "ActorDiedError\nit was killed") -> None:
    """Plays the death of a worker as Tune does."""
    stage.conductor.on_trial_complete(name, error=True)
    stage.conductor.died(name, error)


def test_a_trial_whose_worker_died_comes_next_and_its_attempts_are_told(stage: Stage) -> None:
    given = stage.begin("a")
    die(stage, "a")
    assert isinstance(stage.events[-1], Died)
    assert stage.begin("b") == given
    for epochs in (1, 2, 3):
        stage.report("b", given, *[0.5] * epochs)

    (record,) = stage.conductor.records
    assert (record.status, record.attempts) == (Status.COMPLETED, 2)


def test_a_configuration_that_cost_two_workers_is_in_quarantine_and_the_next_one_comes(
    stage: Stage,
) -> None:
    given = stage.begin("a")
    die(stage, "a")
    assert stage.begin("b") == given
    die(stage, "b")
    assert stage.begin("c").number == given.number + 1

    (record,) = stage.conductor.records
    assert (record.status, record.attempts) == (Status.QUARANTINED, 2)
    assert record.reason == "its worker died 2 times, so it is not tried again: it was killed"
    assert next(trial.state for trial in stage.plan.studies["full"].trials) is TrialState.FAIL


def test_a_death_in_an_earlier_run_counts(stage: Stage) -> None:
    given = stage.begin("a")
    die(stage, "a")
    (left,) = stage.ledger.at_work()
    assert (left.trial, left.deaths) == (given.trial, 1)

    later = Stage(stage.ledger.folder)
    assert later.begin("a") == given
    die(later, "a")
    (record,) = later.conductor.records
    assert record.status is Status.QUARANTINED
    assert later.ledger.at_work() == []


def test_a_lost_node_is_nobodys_fault_but_costs_a_retry(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        given = stage.begin(name)
        die(stage, name, "The actor died because its node has died. Node Id: 1f")
    (record,) = stage.conductor.records
    assert (record.status, record.number) == (Status.FAILED, given.number)
    assert str(record.reason).startswith(
        "its node was lost or its worker could not begin, in attempt 3: "
    )


def test_a_trial_that_lost_its_worker_after_the_budget_does_not_begin_again(stage: Stage) -> None:
    stage.begin("a")
    stage.clock.now += 60
    die(stage, "a")
    assert stage.conductor.suggest("b") == "FINISHED"
    spent = stage.conductor.budget_spent
    assert spent is not None
    assert stage.conductor.records == []


def test_a_disk_that_is_full_ends_the_search_and_loses_no_trial(stage: Stage) -> None:
    run(stage, "a", 0.5, 0.5, 0.5)
    first, second = stage.begin("b"), stage.begin("c")
    full = StorageError("runs/x/checkpoints/a.safetensors", 9, 0, "No space left on device")
    stage.conductor.on_trial_complete("b", {STORAGE: full})
    assert stage.report("c", second, 0.9)
    assert stage.conductor.suggest("d") == "FINISHED"

    assert stage.conductor.broken is full
    assert stage.conductor.budget_spent is None
    assert [record.number for record in stage.conductor.records] == [0]
    told = [event.trial for event in stage.events if isinstance(event, Halted)]
    assert told == [TrialOutline.of(first), TrialOutline.of(second)]


def test_a_record_that_cannot_be_written_does_not_count(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = StorageError("runs/x/trials/a.json", 9, 0, "No space left on device")

    def write(ledger: Ledger, record: TrialRecord) -> TrialRecord:
        raise full

    given = stage.begin("a")
    monkeypatch.setattr(Ledger, "write", write)
    for epochs in (1, 2, 3):
        stage.report("a", given, *[0.5] * epochs)
    assert stage.conductor.broken is full
    assert stage.conductor.records == []
    assert stage.conductor.suggest("b") == "FINISHED"
    assert not any(isinstance(event, Ended) for event in stage.events)


def test_a_trial_is_late_when_its_time_and_some_grace_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, options=asked(trial_timeout="30"))
    now = [1000.0]
    monkeypatch.setattr("bench.tune.searcher.time.perf_counter", lambda: now[0])
    given = stage.begin("a")
    now[0] += 30 + GRACE - 1
    assert stage.conductor.late == set()
    now[0] += 2
    assert stage.conductor.late == {"a"}
    die(stage, "a")
    assert stage.conductor.late == set()
    (record,) = stage.conductor.records
    assert (record.status, record.fingerprint) == (Status.TIMED_OUT, given.fingerprint)
    assert record.reason == "took longer than --trial-timeout 30 s"


def test_a_worker_that_dies_before_its_trial_begins_is_not_laid_to_the_trial(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        assert isinstance(stage.conductor.suggest(name), dict)  # and it never begins
        die(stage, name, "The actor died because of an error raised in its creation task")
    (record,) = stage.conductor.records
    assert (record.status, record.number, record.attempts) == (Status.FAILED, 0, 0)
    assert "its worker could not begin, in attempt 3: " in str(record.reason)


def test_a_failed_trial_takes_its_deaths_into_a_later_run(tmp_path: Path) -> None:
    stage = Stage(tmp_path, options=asked(max_retries=0))
    given = stage.begin("a")
    die(stage, "a")
    assert stage.statuses() == [Status.FAILED]
    (left,) = stage.ledger.at_work()
    assert (left.fingerprint, left.attempt, left.deaths) == (given.fingerprint, 0, 1)


def test_a_worker_that_said_where_it_hung_has_timed_out_however_the_clocks_stand(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, options=asked(trial_timeout="3600"))
    given = stage.begin("a")
    stage.ledger.stack(given.fingerprint).write_text("Timeout!\nin a loop\n")
    die(stage, "a")
    (record,) = stage.conductor.records
    assert (record.status, record.traceback) == (Status.TIMED_OUT, "Timeout!\nin a loop")
    assert not stage.ledger.stack(given.fingerprint).exists()


def test_a_scoring_that_hangs_is_late_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, trials=1, options=asked(trial_timeout="30"))
    run(stage, "a", 0.5, 0.5, 0.5)
    now = [1000.0]
    monkeypatch.setattr("bench.tune.searcher.time.perf_counter", lambda: now[0])
    stage.score("b")
    now[0] += 30 + GRACE + 1
    assert stage.conductor.late == {"b"}
    die(stage, "b")
    assert stage.conductor.late == set()
