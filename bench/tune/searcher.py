"""Conduct a search: hand out specs, turn what Tune reports into records, mind the budget."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from ray.tune.search import Searcher

from bench.cluster.slots import Capacity
from bench.errors import StorageError
from bench.records import events
from bench.records.spec import TrialSpec
from bench.records.study_record import BudgetSpent
from bench.records.trial_record import RETRIED_ON_RESUME, Status, TrialRecord
from bench.storage.ledger import AtWork, Ledger
from bench.study.run_options import RunOptions
from bench.training.trial import TRACEBACK_LINES, Progress
from bench.tune.budget import Meter
from bench.tune.plan import Agenda
from bench.tune.retry import GRACE, Attempts, verdict, with_attempts
from bench.tune.test_scoring import Exam
from bench.tune.worker import PROGRESS, SCORE, SCORING, SPEC, STORAGE

NEVER_TAKEN_OVER = RETRIED_ON_RESUME | {Status.PRUNED}
"""Ends that say nothing in another search: of an accident, or of the trials it stood among."""


class Conductor(Searcher):
    """Gives Tune the plan's trials and turns what it reports into records.

    Args:
        plan: what to run.
        ledger: where records go, and where results of the same trial may lie already.
        observe: told of every event.
        exam: what follows when every trial has ended or the budget has.
        kept: records of earlier runs that count.
        meter: of what the run may spend.
        options: say how often and how long a trial is tried.

    Attributes:
        records: of the trials that have ended.
        broken: why nothing can be written any more; ``None`` while it can.
    """

    def __init__(
        self,
        plan: Agenda,
        ledger: Ledger,
        observe: events.Observer,
        exam: Exam,
        *,
        kept: Iterable[TrialRecord] = (),
        meter: Meter | None = None,
        options: RunOptions | None = None,
    ) -> None:
        super().__init__()
        self._exam = exam
        self._meter = meter or Meter()
        self._options = options or RunOptions()
        self._spent: str | None = None
        self._halted: set[str] = set()
        self._plan = plan
        self._ledger = ledger
        self.records = list(kept)
        mine = {record.fingerprint for record in self.records}
        found = ledger.records().readable.items()
        self._known = {name: record for name, record in found if name not in mine}
        self._observe = observe
        self._running: dict[str, TrialSpec] = {}
        self._again: list[TrialSpec] = []
        self._attempts: defaultdict[str, Attempts] = defaultdict(Attempts)
        for left in ledger.at_work():
            self._attempts[left.fingerprint].deaths = left.deaths
        self._scoring_since: dict[str, float] = {}
        self._reported: dict[str, TrialRecord] = {}
        self.capacity: Capacity | None = None  # how many may be at work now; else Tune decides
        self.broken: StorageError | None = None

    # Ray means the constant FINISHED too, but declares a dict.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """What is to be done next: a trial; when all have ended, a scoring; until then nothing."""
        at_work = len(self._running.keys() - self._halted)
        if self.capacity and self.capacity.count <= at_work + self._exam.sitting:
            return None
        if spec := self._next(trial_id):
            return {SPEC: spec}
        if at_work:
            return None
        if self.broken:
            return str(Searcher.FINISHED)
        scoring = self._exam.next(trial_id, self.records)
        if scoring is not None:
            return {SCORING: scoring}
        return None if self._exam.busy else str(Searcher.FINISHED)

    def wanted(self) -> int:
        """Workers that are kept, as more trials or scorings will be handed out."""
        may_begin = not self.broken and self._spent is None
        goes_on = self._exam.goes_on or (may_begin and self.missing > len(self._running))
        return self.capacity.count if goes_on and self.capacity else 0

    def _next(self, trial_id: str) -> TrialSpec | None:
        """The next trial that is not known from another search already."""
        if self._again and not self._over():
            self._running[trial_id] = self._again.pop(0)
            return self._running[trial_id]
        while not self._over() and (spec := self._plan.next()) is not None:
            known = self._known.get(spec.fingerprint)
            if known is None or known.status in NEVER_TAKEN_OVER:
                self._running[trial_id] = spec
                return spec
            labels = {
                "study": spec.study,
                "number": spec.number,
                "context": spec.context,
                "confirms": spec.confirms,
            }
            self._end(known.model_copy(update=labels))
        return None

    def began(self, trial_id: str) -> None:
        """Notes that an attempt of a trial, or a scoring, begins."""
        if self._exam.holds(trial_id):
            self._scoring_since[trial_id] = time.perf_counter()
            return
        self._meter.hold(trial_id)
        spec = self._running[trial_id]
        attempts = self._attempts[spec.fingerprint]
        attempts.begin(time.perf_counter())
        with self._storage():
            self._mark(spec)
        self._observe(events.Started(trial=events.TrialOutline.of(spec), attempt=attempts.count))

    def _mark(self, spec: TrialSpec, attempt: int | None = None) -> None:
        attempts = self._attempts[spec.fingerprint]
        self._ledger.begin(
            AtWork(
                trial=spec.trial,
                fingerprint=spec.fingerprint,
                attempt=attempts.count if attempt is None else attempt,
                deaths=attempts.deaths,
            )
        )

    @contextlib.contextmanager
    def _storage(self) -> Iterator[None]:
        """Around everything that writes: once that fails, no trial begins any more."""
        try:
            yield
        except StorageError as error:
            self.broken = self.broken or error

    @property
    def missing(self) -> int:
        """Trials that were to run and have not ended."""
        return self._plan.left + len(self._running) + len(self._again)

    @property
    def late(self) -> set[str]:
        """Trials whose time is up and whose worker has not ended by itself, by Tune's names."""
        timeout = self._options.trial_timeout
        if timeout is None:
            return set()
        since = time.perf_counter() - timeout.seconds - GRACE
        began = {name: self._attempts[s.fingerprint].began for name, s in self._running.items()}
        known = began | self._scoring_since
        return {name for name, moment in known.items() if moment is not None and moment < since}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes in an epoch, the record with which a trial has ended, or a score."""
        if SCORE in result:
            self._exam.take(trial_id, result[SCORE])
            return
        if STORAGE in result:
            self.broken = self.broken or result[STORAGE]
            self._halted.add(trial_id)
            return
        progress: Progress = result[PROGRESS]
        spec = self._running[trial_id]
        if progress.ended:
            self._reported[trial_id] = progress.record
        elif progress.validation is not None:
            self._observe(
                events.EpochDone(
                    trial=events.TrialOutline.of(spec),
                    epoch=progress.epoch,
                    validation=progress.validation,
                )
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
        """Whether no trial may begin, as the budget is spent, which is told, or a disk full."""
        if self.broken:
            return True
        if self._spent is None and self.missing and (spent := self._meter.spent):
            self._spent = spent
            self._observe(events.BudgetOver(budget=spent, running=len(self._running)))
        return self._spent is not None

    @property
    def budget_spent(self) -> BudgetSpent | None:
        """What ended the search before its trials had; ``None`` if it is whole or interrupted."""
        at_work = self._running.keys() - self._halted
        if self._spent is None or self.broken or not self.missing or at_work:
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
            self._scoring_since.pop(trial_id, None)
            if result and SCORE in result:
                self.on_trial_result(trial_id, result)
            with self._storage():
                self._exam.finish(trial_id)
            return
        self._meter.release(trial_id)
        if result and result.keys() & {PROGRESS, STORAGE} and trial_id in self._running:
            self.on_trial_result(trial_id, result)
        record = self._reported.pop(trial_id, None)
        if record is not None:
            spec = self._running.pop(trial_id)
            self._end(with_attempts(record, self._attempts[spec.fingerprint]))
        elif trial_id in self._halted:
            self._observe(events.Halted(trial=events.TrialOutline.of(self._running[trial_id])))

    def died(self, trial_id: str, error: str) -> None:
        """Has a trial whose worker died tried again, or ends it.

        Args:
            trial_id: Tune's name of the trial.
            error: what Ray says about it.
        """
        if self._exam.holds(trial_id):
            with self._storage():
                self._exam.died(trial_id, error, self._options.max_retries)
            return
        spec = self._running.pop(trial_id)
        attempts = self._attempts[spec.fingerprint]
        stack = self._ledger.read_stack(spec.fingerprint)
        now = time.perf_counter()
        end = verdict(self._options, attempts, now, error, hung=stack is not None)
        if end is None:
            self._again.append(spec)
            with self._storage():
                self._mark(spec)
            self._observe(events.Died(trial=events.TrialOutline.of(spec)))
            return
        status, reason = end
        lines = (stack or error).strip().splitlines()
        told, count = "\n".join(lines[-TRACEBACK_LINES:]) or None, attempts.count
        self._end(TrialRecord.of(spec, status, reason=reason, traceback=told, attempts=count))
        if status is Status.FAILED and attempts.deaths:
            with self._storage():  # a later run counts on from there
                self._mark(spec, attempt=0)

    def _end(self, record: TrialRecord) -> None:
        with self._storage():
            record = self._ledger.write(record)
            self.records.append(record)
            self._plan.finish(record)
            self._observe(events.Ended(record=record))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the only state."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher for a restore that never happens here, and an observer that
        # draws on a terminal does not pickle.
        return {}
