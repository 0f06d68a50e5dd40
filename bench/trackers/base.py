"""Show a run's trials in experiment trackers, which can neither stop nor slow it.

Trackers are told what the command's view is told, and know nothing of Tune: an event has the record
as it is in the ledger, with the name that reports use; a trial that is tried again is one run; and
the scoring of a trial adds to the run of the trial. Every tracker works through its events on a
thread of its own.
"""

from __future__ import annotations

import contextlib
import pkgutil
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from bench.errors import StudyError
from bench.records import events
from bench.records.events import Event, Observer, TrialOutline
from bench.records.scrub import scrub
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import RUNS, Location, create, read_whole, storage_error
from reports.metrics import COLUMNS

EPOCH_ACCURACY = "epoch_validation_accuracy"
"""Validation accuracy after an epoch; ``validation_accuracy`` is that of the best one, as in our
tables."""

PATIENCE = 90.0
"""Seconds that trackers are given at the end for what they have not written yet."""

LONGEST = 300
"""Characters of what a tracker says of its failure."""

Figures: TypeAlias = Mapping[str, float]
"""What was measured, by the names of our tables."""


class End(StrEnum):
    """How a trial ended, in the words of trackers."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


ENDS = {
    Status.COMPLETED: End.FINISHED,
    Status.PRUNED: End.KILLED,
    Status.SKIPPED: End.KILLED,
}
"""Every other status is a failure."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """A run as trackers know it.

    Attributes:
        study: name of the study.
        folder: local folder for the files of trackers.
        run: tells this run from others that the same tracker knows.
    """

    study: str
    folder: Path
    run: str

    @classmethod
    def of(cls, study: str, folder: Location) -> RunIdentity:
        """That of a run folder, which keeps the name that it was given when first tracked.

        Args:
            study: name of the study.
            folder: the run folder. Files of trackers lie in it, or, where it is in a store, on
                this machine in ``runs/NAME``.

        Raises:
            StorageError: the run folder cannot be written.
        """
        local = folder if isinstance(folder, Path) else RUNS / study
        path = folder / "tracking.txt"
        try:
            create(path, secrets.token_hex(8).encode())
            run = read_whole(path).decode().strip()
        except (OSError, ValueError) as error:
            raise storage_error(path, 16, OSError(str(error))) from error
        return cls(study=study, folder=local.absolute(), run=run)


class Tracker(ABC):
    """Shows every trial as one run, known by the fingerprint of the trial.

    Attributes:
        where: where the runs are found, for people.
    """

    where: str

    @abstractmethod
    def __init__(self, identity: RunIdentity) -> None:
        """Opens the store."""

    @abstractmethod
    def begin(self, trial: TrialOutline) -> None:
        """Opens the run of a trial, the same one if an earlier command has begun it."""

    @abstractmethod
    def log(self, fingerprint: str, epoch: int, figures: Figures) -> None:
        """Adds figures to an open run."""

    @abstractmethod
    def end(self, fingerprint: str, how: End, words: dict[str, str]) -> None:
        """Closes a run with the status of the trial, and the reason if there is one."""

    @abstractmethod
    def add(self, record: TrialRecord, epoch: int, figures: Figures) -> None:
        """Adds figures to a run that this command or an earlier one has closed, if any has."""

    def close(self) -> None:  # noqa: B027 - most have nothing left on its way
        """Waits for what is on its way."""


def parameters(trial: TrialOutline) -> dict[str, Any]:
    """What a trial was asked to do, flat, by name."""
    settings = {name: value for name, value in asdict(trial.settings).items() if value is not None}
    return {
        "arm": trial.arm,
        "strategy": trial.strategy,
        **settings,
        **trial.values,
        "seed": trial.seed,
        "fingerprint": trial.fingerprint,
    }


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A tracker that can be asked for.

    Attributes:
        packages: distributions, one of which is needed.
        path: of its class; loaded in a run that asks for it.
    """

    packages: tuple[str, ...]
    path: str


KINDS = {
    "mlflow": _Kind(packages=("mlflow-skinny", "mlflow"), path="bench.trackers.to_mlflow:Mlflow"),
    "tensorboard": _Kind(
        packages=("tensorboardX",), path="bench.trackers.to_tensorboard:TensorBoard"
    ),
    "wandb": _Kind(packages=("wandb",), path="bench.trackers.to_wandb:WeightsAndBiases"),
}


def make_trackers(asked: Sequence[str]) -> tuple[str, ...]:
    """Names of trackers, from what was typed after ``--track``.

    Args:
        asked: names, also several with commas.

    Raises:
        StudyError: with a sentence per name that is unknown or whose package is missing.
    """
    names = [name.strip() for text in asked for name in text.split(",")]
    wanted = tuple(dict.fromkeys(name for name in names if name))
    problems = [
        f"--track {name}: is no tracker; trackers are {', '.join(sorted(KINDS))}"
        for name in wanted
        if name not in KINDS
    ]
    problems += [
        f"--track {name}: its package is not installed; run: pip install 'paretune[{name}]'"
        for name in wanted
        if name in KINDS and not any(map(_is_installed, KINDS[name].packages))
    ]
    if asked and not wanted:
        problems.append(f"--track: needs a name; trackers are {', '.join(sorted(KINDS))}")
    if problems:
        raise StudyError(*problems)
    return wanted


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


@contextlib.contextmanager
def track(
    names: Sequence[str], study: str, folder: Location, observe: Observer
) -> Iterator[Observer]:
    """An observer that also tells trackers, for as long as the context lasts.

    Args:
        names: of trackers, as ``make_trackers`` gives them.
        study: name of the study.
        folder: the run folder.
        observe: told of every event, and of what becomes of trackers.

    Raises:
        StorageError: the run folder cannot be written.
    """
    if not names:
        yield observe
        return
    identity = RunIdentity.of(study, folder)
    threads = [_TrackerThread(name, identity) for name in names]

    def tell(event: Event) -> None:
        observe(event)
        for thread in threads:
            thread.take(event)
            thread.report(observe)

    try:
        yield tell
    finally:
        until = time.perf_counter() + PATIENCE
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(max(0.0, until - time.perf_counter()))
            thread.report(observe)


class _TrackerThread(Thread):
    """A tracker at work; what goes wrong in it ends it, and nothing else."""

    def __init__(self, tracker: str, identity: RunIdentity) -> None:
        super().__init__(name=f"track-{tracker}", daemon=True)
        self._tracker = tracker
        self._identity = identity
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._notes: SimpleQueue[str] = SimpleQueue()
        self.start()

    def take(self, event: Event) -> None:
        if self.is_alive():
            self._events.put(event)

    def stop(self) -> None:
        """Has it end after the events that it has been given."""
        self._events.put(None)

    def report(self, observe: Observer) -> None:
        """Tells what there is to tell, on the thread of the observer."""
        while not self._notes.empty():
            observe(events.Noted(text=self._notes.get()))

    def run(self) -> None:
        try:
            tracker = pkgutil.resolve_name(KINDS[self._tracker].path)(self._identity)
            self._notes.put(f"tracked by {self._tracker}: {scrub(tracker.where)}")
            journal = Journal(tracker)
            while (event := self._events.get()) is not None:
                journal.take(event)
            journal.close()
        except Exception as error:  # noqa: BLE001 - other people's code and servers
            lines = str(error).strip().splitlines() or [""]
            reason = scrub(f"{type(error).__name__}: {lines[0]}")[:LONGEST]
            self._notes.put(
                f"{self._tracker} has failed and is told nothing more; the run goes on: {reason}"
            )


class Journal:
    """Tells a tracker what happens to trials that this command runs.

    Trials that are in the ledger already are left alone: they were told when they ran.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._epochs: dict[str, int] = {}  # the last one logged of each open trial

    def take(self, event: Event) -> None:
        match event:
            case events.Started(trial=trial) if trial.fingerprint not in self._epochs:
                self._epochs[trial.fingerprint] = 0
                self._tracker.begin(trial)
            case events.EpochDone(trial=trial):
                self._log_epoch(trial.fingerprint, event.epoch, event.validation)
            case events.Halted(trial=trial):
                self._interrupt(trial.fingerprint)
            case events.Ended(record=record) if record.fingerprint in self._epochs:
                self._finish(record)
            case events.Scored(record=record) if record.test is not None:
                self._tracker.add(record, _last_epoch(record), _figures(record, "test."))

    def close(self) -> None:
        """Ends what is still open: trials that an interrupt has stopped."""
        for fingerprint in [*self._epochs]:
            self._interrupt(fingerprint)
        self._tracker.close()

    def _log_epoch(self, fingerprint: str, epoch: int, accuracy: float) -> None:
        if epoch > self._epochs[fingerprint]:  # not again what an attempt before has come to
            self._epochs[fingerprint] = epoch
            self._tracker.log(fingerprint, epoch, {EPOCH_ACCURACY: accuracy})

    def _finish(self, record: TrialRecord) -> None:
        accuracies = record.accuracy.per_epoch if record.accuracy else ()
        for epoch, accuracy in enumerate(accuracies, start=1):
            self._log_epoch(record.fingerprint, epoch, accuracy)
        self._tracker.log(record.fingerprint, _last_epoch(record), _figures(record))
        del self._epochs[record.fingerprint]
        reason = {"reason": scrub(record.reason)[:500]} if record.reason else {}
        how = ENDS.get(record.status, End.FAILED)
        self._tracker.end(record.fingerprint, how, {"status": str(record.status), **reason})

    def _interrupt(self, fingerprint: str) -> None:
        del self._epochs[fingerprint]
        self._tracker.end(fingerprint, End.KILLED, {"status": "interrupted"})


def _last_epoch(record: TrialRecord) -> int:
    return record.accuracy.epochs_done if record.accuracy else 0


def _figures(record: TrialRecord, part: str = "") -> Figures:
    """What was measured of a trial, or of a part of it."""
    found = {m.name: m.read(record) for m in COLUMNS.values() if m.path.startswith(part)}
    return {name: value for name, value in found.items() if value is not None}
