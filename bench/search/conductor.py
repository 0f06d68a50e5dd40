"""Conduct a search: hand out specs, turn what Tune reports into records, mind the budget."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from bench.ledger import Ledger
from bench.record import RETRIED_ON_RESUME, BudgetSpent, Status, TrialRecord
from bench.search.budget import Meter
from bench.search.events import BudgetOver, Ended, EpochDone, Halted, Observer, Started
from bench.search.exam import Exam
from bench.search.plan import Plan
from bench.search.worker import PROGRESS, SCORE, SCORING, SPEC
from bench.spec import TrialSpec
from bench.trial import TRACEBACK_LINES, Progress

NEVER_TAKEN_OVER = RETRIED_ON_RESUME | {Status.PRUNED}
"""Ends that say nothing in another search: of an accident, or of the trials it stood among."""


@dataclass(kw_only=True)
class _Attempts:
    """Attempts of a running trial.

    Attributes:
        count: begun so far.
        began: reading of the clock at the last beginning.
        lost: seconds of attempts that came to nothing.
    """

    count: int
    began: float
    lost: float


class Conductor(Searcher):
    """Gives Tune the plan's trials and turns what it reports into records.

    Args:
        plan: what to run.
        ledger: where records go, and where results of the same trial may lie already.
        observe: told of every event.
        exam: what follows when every trial has ended or the budget has.
        kept: records of earlier runs that count.
        meter: of what the run may spend.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        observe: Observer,
        exam: Exam,
        *,
        kept: Iterable[TrialRecord] = (),
        meter: Meter | None = None,
    ) -> None:
        super().__init__()
        self._exam = exam
        self._meter = meter or Meter()
        self._spent: str | None = None
        self._halted: set[str] = set()
        self._plan = plan
        self._ledger = ledger
        self._known = ledger.records().readable
        self._observe = observe
        self._running: dict[str, TrialSpec] = {}
        self._attempts: dict[str, _Attempts] = {}
        self._reported: dict[str, TrialRecord] = {}
        self.records = list(kept)

    # Ray means the constant FINISHED too, but declares a dict.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """What is to be done next: a trial; when all have ended, a scoring; until then nothing."""
        if spec := self._next(trial_id):
            return {SPEC: spec}
        if self._running.keys() - self._halted:
            return None
        scoring = self._exam.next(trial_id, self.records)
        return str(Searcher.FINISHED) if scoring is None else {SCORING: scoring}

    def _next(self, trial_id: str) -> TrialSpec | None:
        """The next trial that is not known from another search already."""
        while not self._over() and (spec := self._plan.next()) is not None:
            known = self._known.get(spec.fingerprint)
            if known is None or known.status in NEVER_TAKEN_OVER:
                self._running[trial_id] = spec
                return spec
            labels = {"study": spec.study, "number": spec.number, "context": spec.context}
            self._end(known.model_copy(update=labels))
        return None

    def began(self, trial_id: str) -> None:
        """Notes that an attempt of a trial begins."""
        if self._exam.holds(trial_id):
            return
        self._meter.hold(trial_id)
        now = time.perf_counter()
        earlier = self._attempts.get(trial_id)
        self._attempts[trial_id] = _Attempts(
            count=earlier.count + 1 if earlier else 1,
            began=now,
            lost=earlier.lost + now - earlier.began if earlier else 0.0,
        )
        self._observe(Started(spec=self._running[trial_id], attempt=self._attempts[trial_id].count))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes in an epoch, the record with which a trial has ended, or a score."""
        if SCORE in result:
            self._exam.take(trial_id, result[SCORE])
            return
        progress: Progress = result[PROGRESS]
        spec = self._running[trial_id]
        if progress.ended:
            self._reported[trial_id] = progress.record
        elif progress.validation is not None:
            self._observe(
                EpochDone(spec=spec, epoch=progress.epoch, validation=progress.validation)
            )

    def stops(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial that could go on is stopped after an epoch.

        At a rung it ends as pruned. When the budget is spent it ends without a record, so that it
        will run again.
        """
        progress: Progress | None = result.get(PROGRESS)
        if progress is None or progress.ended:
            return False
        if reason := self._plan.rungs.judge(progress.record):
            self._reported[trial_id] = progress.record.model_copy(update={"reason": reason})
            return True
        if self._over():
            self._halted.add(trial_id)
        return trial_id in self._halted

    def _over(self) -> bool:
        """Whether the budget is spent; once it is, that is told and stays so."""
        at_work = self._plan.left or self._running
        if self._spent is None and at_work and (spent := self._meter.spent):
            self._spent = spent
            self._observe(BudgetOver(budget=spent, running=len(self._running)))
        return self._spent is not None

    @property
    def budget_spent(self) -> BudgetSpent | None:
        """What ended the search before its trials had; ``None`` if it is whole or interrupted."""
        whole = not self._plan.left and not self._running
        if self._spent is None or whole or self._running.keys() - self._halted:
            return None
        return BudgetSpent(budget=self._spent, stopped=len(self._halted))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ends a trial that has reported its record, or was stopped at a rung.

        One that has not was either interrupted, by a person or by the budget, and will run again,
        or lost its worker, which ``died`` is told of.
        """
        if self._exam.holds(trial_id):
            if result and SCORE in result:
                self.on_trial_result(trial_id, result)
            self._exam.finish(trial_id)
            return
        self._meter.release(trial_id)
        if result and PROGRESS in result and trial_id in self._running:
            self.on_trial_result(trial_id, result)
        record = self._reported.pop(trial_id, None)
        if record is not None:
            del self._running[trial_id]
            self._end(_with_attempts(record, self._attempts.get(trial_id)))
        elif trial_id in self._halted:
            self._observe(Halted(spec=self._running[trial_id]))

    def died(self, trial_id: str, deaths: int, error: str) -> None:
        """Ends a trial whose worker died more often than it is tried again.

        Args:
            trial_id: Tune's name of the trial.
            deaths: how often.
            error: what Ray says about the last one.
        """
        if self._exam.holds(trial_id):
            self._exam.take(trial_id, f"its worker died {deaths} times")
            self._exam.finish(trial_id)
            return
        spec = self._running.pop(trial_id)
        lines = error.strip().splitlines() or ["no reason given"]
        record = TrialRecord.of(
            spec,
            Status.FAILED,
            reason=f"its worker died {deaths} times: {lines[-1]}",
            traceback="\n".join(lines[-TRACEBACK_LINES:]),
            attempts=deaths,
        )
        self._end(record)

    def _end(self, record: TrialRecord) -> None:
        self._ledger.write(record)
        self.records.append(record)
        self._plan.finish(record)
        self._observe(Ended(record=record))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the only state."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher for a restore that never happens here, and an observer that
        # draws on a terminal does not pickle.
        return {}


def _with_attempts(record: TrialRecord, attempts: _Attempts | None) -> TrialRecord:
    if attempts is None or attempts.count == 1:
        return record
    seconds = record.seconds and record.seconds.model_copy(update={"lost": attempts.lost})
    return record.model_copy(update={"attempts": attempts.count, "seconds": seconds})
