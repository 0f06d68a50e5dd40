"""What a running study tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from bench.records.spec import TrainSettings, TrialSpec
from bench.records.study_record import Freeze, StudyRecord
from bench.records.trial_record import Part, TrialRecord
from bench.space import Value

RECORDS_PER_LINE = 20
"""Most records in a line of JSON: lines of many megabytes do not come through job servers."""


class TrialOutline(Part):
    """What there is to say of a trial that is at work.

    Attributes:
        arm: name of the arm.
        name: of the trial in reports, such as ``lora-003``.
        fingerprint: see ``TrialSpec``.
        strategy: name of the strategy.
        values: knobs and learning rate by name.
        seed: of the trial.
        settings: of training.
    """

    arm: str
    name: str
    fingerprint: str
    strategy: str
    values: dict[str, Value]
    seed: int
    settings: TrainSettings

    @classmethod
    def of(cls, spec: TrialSpec) -> TrialOutline:
        """The trial that a worker is asked for."""
        return cls(
            arm=spec.arm,
            name=spec.trial,
            fingerprint=spec.fingerprint,
            strategy=spec.strategy.name,
            values=spec.values,
            seed=spec.seed,
            settings=spec.settings,
        )

    @property
    def epochs(self) -> int:
        """Epochs planned."""
        return self.settings.epochs


class Opened(Part):
    """The plan is made.

    Attributes:
        study: what was asked.
        planned: trials per arm that are for this command to run.
        kept: records of earlier runs that count as such.
        workers: trials that run at a time; 0 if there is nothing to run.
        seconds: the search may take; ``None`` is without end.
    """

    kind: Literal["opened"] = "opened"
    study: StudyRecord
    planned: dict[str, int]
    kept: tuple[TrialRecord, ...]
    workers: int
    seconds: float | None = None


class Started(Part):
    """A trial begins, or begins again after its worker died."""

    kind: Literal["started"] = "started"
    trial: TrialOutline
    attempt: int


class Died(Part):
    """The worker of a trial died; the trial will begin again."""

    kind: Literal["died"] = "died"
    trial: TrialOutline


class EpochDone(Part):
    """A trial has trained and validated one more epoch."""

    kind: Literal["epoch_done"] = "epoch_done"
    trial: TrialOutline
    epoch: int
    validation: float


class Ended(Part):
    """A trial has ended; its record is in the ledger."""

    kind: Literal["ended"] = "ended"
    record: TrialRecord


class BudgetOver(Part):
    """A budget is spent: no trial begins any more.

    Attributes:
        budget: as a person says it.
        running: trials at work, which stop after the epoch they are in.
    """

    kind: Literal["budget_over"] = "budget_over"
    budget: str
    running: int


class Halted(Part):
    """A trial has stopped as the budget is spent or a disk full; it leaves no record."""

    kind: Literal["halted"] = "halted"
    trial: TrialOutline


class Frozen(Part):
    """The search is over, and what was chosen from it is run again on fresh seeds.

    Attributes:
        freeze: what was chosen.
        kept: records of earlier runs that count.
        workers: trials that run at a time; 0 if there is nothing to run.
    """

    kind: Literal["frozen"] = "frozen"
    freeze: Freeze
    kept: tuple[TrialRecord, ...]
    workers: int


class Narrowed(Part):
    """Configurations were stopped that need no further seed.

    Attributes:
        freeze: what goes on, and what was stopped and why.
        stopped: names of those that were stopped now.
    """

    kind: Literal["narrowed"] = "narrowed"
    freeze: Freeze
    stopped: tuple[str, ...]


class Scored(Part):
    """A chosen trial has answered the test split; its record is in the ledger."""

    kind: Literal["scored"] = "scored"
    record: TrialRecord


class Kept(Part):
    """Records of earlier runs that count, more than ``Opened`` or ``Frozen`` could hold."""

    kind: Literal["kept"] = "kept"
    records: tuple[TrialRecord, ...]


class Noted(Part):
    """Something to know that is about no trial, such as where trials are tracked."""

    kind: Literal["noted"] = "noted"
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
    | Kept
)
Observer: TypeAlias = Callable[[Event], None]


class Told(Part):
    """An event and when it was told.

    Attributes:
        at: seconds since 1970, by the clock of the machine that told it.
        event: what happened.
    """

    at: float
    event: Annotated[Event, Field(discriminator="kind")]

    @classmethod
    def now(cls, event: Event) -> Told:
        """An event that happens now."""
        return cls(at=datetime.now(UTC).timestamp(), event=event)


_TRACEBACKS: dict[str, Any] = {
    "record": {"traceback"},
    "kept": {"__all__": {"traceback"}},
    "records": {"__all__": {"traceback"}},
}


def to_line(told: Told) -> str:
    """One line of JSON that ``from_line`` reads, without tracebacks, which no view shows."""
    return told.model_dump_json(exclude={"event": _TRACEBACKS})


def from_line(line: str) -> Told:
    """The event in a line.

    Raises:
        ValidationError: there is none.
    """
    return Told.model_validate_json(line)


def short(event: Event) -> Iterator[Event]:
    """The same told in events that hold few records each."""
    if not isinstance(event, Opened | Frozen) or len(event.kept) <= RECORDS_PER_LINE:
        yield event
        return
    yield event.model_copy(update={"kept": ()})
    for first in range(0, len(event.kept), RECORDS_PER_LINE):
        yield Kept(records=event.kept[first : first + RECORDS_PER_LINE])
