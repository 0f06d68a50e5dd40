"""What has happened in a run so far, from its events alone."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.records.events import (
    BudgetOver,
    Died,
    Ended,
    EpochDone,
    Event,
    Frozen,
    Halted,
    Kept,
    Narrowed,
    Opened,
    Scored,
    Started,
    TrialOutline,
)
from bench.records.study_record import Freeze, Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord


@dataclass(kw_only=True)
class Running:
    """A trial at work."""

    trial: TrialOutline
    began: float
    epoch: int = 0
    validation: float | None = None

    def seconds_left(self, usual: float) -> float:
        """By its own pace once an epoch is done; before, by what a trial of its kind takes."""
        spent = time.perf_counter() - self.began
        if self.epoch:
            return spent / self.epoch * (self.trial.epochs - self.epoch)
        return max(0.0, usual - spent)


@dataclass(kw_only=True)
class Spent:
    """Seconds of trials that have ended; true once there is one."""

    trials: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more trial."""
        self.trials += 1
        self.seconds += seconds

    def __bool__(self) -> bool:
        return self.trials > 0


@dataclass(kw_only=True)
class Scene:
    """What has happened so far, from events alone.

    Attributes:
        study: what was asked; ``None`` until the plan is made.
        freeze: what is run again on fresh seeds; ``None`` during the search.
        workers: trials that run at a time.
        planned: trials per arm of the search, or those with fresh seeds.
        records: of them, trials that have ended, by fingerprint.
        searched: trials of the search, once it is over.
        running: trials at work, by fingerprint.
        spent: seconds of the trials that ran here, by arm, stopped ones too.
        deadline: reading of the clock when the time budget is spent; ``None`` without one.
        over: the budget that is spent.
        ended: how many of the records, by arm and by whether they were stopped early: counted as
            they come, since a look at all of them at each event is too slow with thousands.
    """

    study: StudyRecord | None = None
    freeze: Freeze | None = None
    workers: int = 0
    planned: dict[str, int] = field(default_factory=dict)
    records: dict[str, TrialRecord] = field(default_factory=dict)
    searched: dict[str, TrialRecord] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    spent: defaultdict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    deadline: float | None = None
    over: str | None = None
    ended: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def take(self, event: Event, age: float = 0.0) -> None:
        """Adds an event.

        Args:
            event: what has happened.
            age: seconds since then.
        """
        now = time.perf_counter() - age
        match event:
            case Opened() | Frozen() | Narrowed() | Kept():
                self._begin(event, now)
            case Started():
                self.running[event.trial.fingerprint] = Running(trial=event.trial, began=now)
            case EpochDone():
                if running := self.running.get(event.trial.fingerprint):
                    running.epoch, running.validation = event.epoch, event.validation
            case BudgetOver():
                self.over = event.budget
            case Halted() | Died():
                self.running.pop(event.trial.fingerprint, None)
            case Ended() | Scored():
                self._end(event.record, now)

    def _end(self, record: TrialRecord, now: float) -> None:
        if before := self.records.get(record.fingerprint):
            self.ended[_place(before)] -= 1
        self.ended[_place(record)] += 1
        self.records[record.fingerprint] = record
        running = self.running.pop(record.fingerprint, None)
        if running and record.status in {Status.COMPLETED, Status.PRUNED}:
            self.spent[record.arm].add(now - running.began)

    def _begin(self, event: Opened | Frozen | Narrowed | Kept, now: float) -> None:
        if isinstance(event, Opened):
            self.study, self.workers = event.study, event.workers
            self.planned = event.planned
            self._keep(event.kept)
            self.deadline = event.seconds and now + event.seconds
            return
        if isinstance(event, Kept):
            self._keep((*self.records.values(), *event.records))
            if self.freeze:
                self._plan_confirmation(self.freeze)
            return
        if isinstance(event, Frozen):
            self.workers = event.workers
            self.searched = self.records
            self._keep(event.kept)
            self.spent.clear()
            self.deadline = self.over = None
        self._plan_confirmation(event.freeze)

    def _keep(self, records: Iterable[TrialRecord]) -> None:
        """Begins a stage with what was there before."""
        self.records = {record.fingerprint: record for record in records}
        self.ended = Counter(_place(record) for record in self.records.values())

    def _plan_confirmation(self, freeze: Freeze) -> None:
        self.freeze = freeze
        done = Counter(record.confirms for record in self.records.values())
        self.planned = dict.fromkeys((one.arm for one in freeze.candidates), 0)
        for one in freeze.candidates:
            count = done[one.fingerprint] if one.stopped else len(freeze.seeds)
            self.planned[one.arm] += count

    @property
    def run(self) -> Run | None:
        """Everything known so far; ``None`` until the plan is made."""
        if self.study is None:
            return None
        now = tuple(self.records.values())
        if self.freeze is None:
            return Run(study=self.study, searched=now)
        before = tuple(self.searched.values())
        return Run(study=self.study, searched=before, confirmed=now, freeze=self.freeze)

    def done(self, arm: str) -> int:
        """Trials of an arm that have ended."""
        return self.ended[arm, True] + self.ended[arm, False]

    def pruned(self, arm: str) -> int:
        """Of them, trials that were stopped early."""
        return self.ended[arm, True]

    @property
    def all_planned(self) -> int:
        """Trials of all arms."""
        return sum(self.planned.values())

    def seconds_left(self, arm: str) -> float | None:
        """Worker seconds an arm still needs; ``None`` before any trial has ended."""
        mine = self.spent.get(arm)
        seen = [mine] if mine else list(self.spent.values())
        trials = sum(spent.trials for spent in seen)
        if not trials:
            return None
        usual = sum(spent.seconds for spent in seen) / trials
        running = [r.seconds_left(usual) for r in self.running.values() if r.trial.arm == arm]
        waiting = max(0, self.planned[arm] - self.done(arm) - len(running))
        return waiting * usual + sum(running)

    @property
    def eta(self) -> float | None:
        """Seconds until the last trial ends, or the time budget if that is sooner."""
        if not self.workers or self.over:
            return None
        parts = [self.seconds_left(arm) for arm in self.planned]
        known = [part for part in parts if part is not None]
        ends = [sum(known) / self.workers] if known else []
        if self.deadline is not None:
            ends.append(max(0.0, self.deadline - time.perf_counter()))
        return min(ends, default=None)


def _place(record: TrialRecord) -> tuple[str, bool]:
    return record.arm, record.status is Status.PRUNED
