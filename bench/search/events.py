"""What a running study tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from bench.record import TrialRecord
from bench.spec import TrialSpec
from bench.study_record import Freeze, StudyRecord


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The plan is made.

    Attributes:
        study: what was asked.
        planned: trials per arm that are for this command to run.
        kept: records of earlier runs that count as such.
        workers: trials that run at a time; 0 if there is nothing to run.
        seconds: the search may take; ``None`` is without end.
    """

    study: StudyRecord
    planned: dict[str, int]
    kept: tuple[TrialRecord, ...]
    workers: int
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Started:
    """A trial begins, or begins again after its worker died."""

    spec: TrialSpec
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Died:
    """The worker of a trial died; the trial will begin again."""

    spec: TrialSpec


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """A trial has trained and validated one more epoch."""

    spec: TrialSpec
    epoch: int
    validation: float


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial has ended; its record is in the ledger."""

    record: TrialRecord


@dataclass(frozen=True, kw_only=True)
class BudgetOver:
    """A budget is spent: no trial begins any more.

    Attributes:
        budget: as a person says it.
        running: trials at work, which stop after the epoch they are in.
    """

    budget: str
    running: int


@dataclass(frozen=True, kw_only=True)
class Halted:
    """A trial has stopped as the budget is spent or a disk full; it leaves no record."""

    spec: TrialSpec


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """The search is over, and what was chosen from it is run again on fresh seeds.

    Attributes:
        freeze: what was chosen.
        kept: records of earlier runs that count.
        workers: trials that run at a time; 0 if there is nothing to run.
    """

    freeze: Freeze
    kept: tuple[TrialRecord, ...]
    workers: int


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """Configurations were stopped that need no further seed.

    Attributes:
        freeze: what goes on, and what was stopped and why.
        stopped: names of those that were stopped now.
    """

    freeze: Freeze
    stopped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A chosen trial has answered the test split; its record is in the ledger."""

    record: TrialRecord


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Something to know that is about no trial, such as where trials are tracked."""

    text: str


Event: TypeAlias = (
    Opened
    | Started
    | Died
    | EpochDone
    | Ended
    | BudgetOver
    | Halted
    | Frozen
    | Narrowed
    | Scored
    | Noted
)
Observer: TypeAlias = Callable[[Event], None]
