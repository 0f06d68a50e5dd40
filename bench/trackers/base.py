"""Show a run's trials in experiment trackers, which can neither stop nor slow it.

Trackers are Ray's own callbacks. They are told what the command's view is told, and not attached to
Tune: an event has the record as it is in the ledger, with the name that reports use; a trial that
is tried again is one run; and the scoring of a trial, which is a trial of its own to Tune, adds to
the run of the trial. Every tracker works through its events on a thread of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeAlias

from bench.errors import StudyError
from bench.records.events import (
    Ended,
    EpochDone,
    Event,
    Halted,
    Noted,
    Observer,
    Scored,
    Started,
    TrialOutline,
)
from bench.records.scrub import scrub
from bench.records.spec import content_hash
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import RUNS, Location, create, read_whole, storage_error
from reports.metrics import METRICS

EPOCH_ACCURACY = "epoch_validation_accuracy"
"""Validation accuracy after an epoch; ``validation_accuracy`` is that of the best one, as in our
tables."""

STEP = "training_iteration"
"""Where Ray's callbacks find the epoch."""


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
class TrackedRun:
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
    def of(cls, study: str, folder: Location) -> TrackedRun:
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

    def trial(self, trial: TrialOutline, folder: Path) -> Tracked:
        """A trial as a tracker sees it that keeps files in a folder."""
        settings = {
            name: value
            for name, value in asdict(trial.settings).items()
            if value is not None and name not in trial.values
        }
        return Tracked(
            name=trial.name,
            trial_id=content_hash([self.run, trial.fingerprint]),
            fingerprint=trial.fingerprint,
            group=self.study,
            folder=folder,
            config={
                "arm": trial.arm,
                "strategy": trial.strategy,
                **settings,
                **trial.values,
                "seed": trial.seed,
                "fingerprint": trial.fingerprint,
            },
        )

    def bare(self, record: TrialRecord, folder: Path) -> Tracked:
        """A trial that was tracked before, without its parameters."""
        return Tracked(
            name=record.trial,
            trial_id=content_hash([self.run, record.fingerprint]),
            fingerprint=record.fingerprint,
            group=self.study,
            folder=folder,
            config={},
        )


@dataclass(kw_only=True, eq=False)
class Tracked:
    """A trial with what Ray's callbacks ask of one of Tune's.

    Attributes:
        name: as in reports.
        trial_id: the same in every command on one run folder.
        fingerprint: of the trial.
        group: name of the study.
        folder: for files of the tracker.
        config: parameters.
        said: how it ended, in words; empty before.
        epoch: the last one that was logged.
    """

    name: str
    trial_id: str
    fingerprint: str
    group: str
    folder: Path
    config: dict[str, Any]
    said: dict[str, str] = field(default_factory=dict)
    epoch: int = 0

    def __str__(self) -> str:
        return self.name

    @property
    def local_path(self) -> str:
        """Ray's name of the folder."""
        return str(self.folder)

    @property
    def experiment_dir_name(self) -> str:
        """Ray's name of the group."""
        return self.group

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """Ray's name of what was asked, and how it ended."""
        return {**self.config, **self.said}

    def init_local_path(self) -> None:
        """Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)


Likeness: TypeAlias = Any
"""A ``Tracked``, where Ray's annotations ask for one of Tune's trials."""


class Tracker(Protocol):
    """What is asked of a tracker: one of Ray's ``LoggerCallback`` with an end that has a state."""

    def setup(self) -> None:
        """Opens the store."""

    @property
    def where(self) -> str:
        """Where the runs are found, for people."""

    def folder(self, name: str) -> Path:
        """For the files of a trial of that name."""

    def knows(self, trial: Tracked) -> bool:
        """Whether an earlier command on this run folder has tracked it."""

    def log_trial_start(self, trial: Tracked) -> None:
        """Opens the run of a trial."""

    def log_trial_result(self, iteration: int, trial: Tracked, result: dict[str, Any]) -> None:
        """Adds figures to it."""

    def end(self, trial: Tracked, how: End) -> None:
        """Closes it."""

    def add(self, trial: Tracked, result: dict[str, Any]) -> None:
        """Adds figures to one that was closed, by this command or an earlier one."""

    def close(self) -> None:
        """Waits for what is on its way."""


def curve(record: TrialRecord, since: int) -> list[dict[str, Any]]:
    """Validation accuracies after the epochs that follow one."""
    accuracies = record.accuracy.per_epoch if record.accuracy else ()
    return [
        {STEP: epoch, EPOCH_ACCURACY: accuracy}
        for epoch, accuracy in enumerate(accuracies, start=1)
        if epoch > since
    ]


def figures(record: TrialRecord) -> dict[str, Any]:
    """Everything measured of a trial, by the names of our tables."""
    found = {name: metric.read(record) for name, metric in METRICS.items()}
    known = {name: value for name, value in found.items() if value is not None}
    return {STEP: last_epoch(record), **known}


def last_epoch(record: TrialRecord) -> int:
    """Epochs that a trial has trained."""
    return record.accuracy.epochs_done if record.accuracy else 0


def said(record: TrialRecord) -> dict[str, str]:
    """Status, and the reason if there is one."""
    reason = {"reason": scrub(record.reason)[:500]} if record.reason else {}
    return {"status": str(record.status), **reason}


PATIENCE = 90.0
"""Seconds that trackers are given at the end for what they have not written yet."""


LONGEST = 300
"""Characters of what a tracker says of its failure."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A tracker that can be asked for.

    Attributes:
        packages: distributions, one of which is needed.
        module: where it is.
        name: of the class there.
    """

    packages: tuple[str, ...]
    module: str
    name: str


KINDS = {
    "mlflow": _Kind(
        packages=("mlflow-skinny", "mlflow"), module="bench.trackers.to_mlflow", name="Mlflow"
    ),
    "tensorboard": _Kind(
        packages=("tensorboardX",), module="bench.trackers.to_tensorboard", name="TensorBoard"
    ),
    "wandb": _Kind(packages=("wandb",), module="bench.trackers.to_wandb", name="WeightsAndBiases"),
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
def tracked(
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
    run = TrackedRun.of(study, folder)
    threads = [_Thread(name, run) for name in names]

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


class _Thread(Thread):
    """A tracker at work; what goes wrong in it ends it, and nothing else."""

    def __init__(self, name: str, run: TrackedRun) -> None:
        super().__init__(name=f"track-{name}", daemon=True)
        self._tracker = name
        self._tracked = run
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._done = False
        self.start()

    def take(self, event: Event) -> None:
        """An event to work through."""
        if self.is_alive():
            self._events.put(event)

    def stop(self) -> None:
        """Nothing comes after what it has been given."""
        self._events.put(None)

    def report(self, observe: Observer) -> None:
        """Tells what there is to tell, on the thread of the observer."""
        while not self._notes.empty():
            observe(Noted(text=self._notes.get()))

    def run(self) -> None:
        """Works until it is told to stop, or something goes wrong."""
        try:
            kind = KINDS[self._tracker]
            tracker = getattr(importlib.import_module(kind.module), kind.name)(self._tracked)
            tracker.setup()
            self._notes.put(f"tracked by {self._tracker}: {scrub(tracker.where)}")
            journal = Journal(tracker, self._tracked)
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

    Args:
        tracker: any.
        run: which trials belong to.
    """

    def __init__(self, tracker: Tracker, run: TrackedRun) -> None:
        self._tracker = tracker
        self._tracked = run
        self._open: dict[str, Tracked] = {}

    def take(self, event: Event) -> None:
        """Passes an event on."""
        match event:
            case Started():
                self._start(event)
            case EpochDone():
                trial = self._open[event.trial.fingerprint]
                if event.epoch > trial.epoch:  # not again what an attempt before has come to
                    trial.epoch = event.epoch
                    found = {STEP: event.epoch, EPOCH_ACCURACY: event.validation}
                    self._tracker.log_trial_result(0, trial, found)
            case Halted():
                self._end(self._open.pop(event.trial.fingerprint), {"status": "interrupted"})
            case Ended():
                self._finish(event.record)
            case Scored():
                self._score(event.record)

    def close(self) -> None:
        """Ends what is still open: trials that an interrupt has stopped."""
        for trial in self._open.values():
            self._end(trial, {"status": "interrupted"})
        self._tracker.close()

    def _start(self, event: Started) -> None:
        given = event.trial
        if given.fingerprint in self._open:
            return
        trial = self._tracked.trial(given, self._tracker.folder(given.name))
        self._open[given.fingerprint] = trial
        self._tracker.log_trial_start(trial)

    def _finish(self, record: TrialRecord) -> None:
        trial = self._open.pop(record.fingerprint, None)
        if trial is None:
            return
        for result in (*curve(record, trial.epoch), figures(record)):
            self._tracker.log_trial_result(0, trial, result)
        trial.epoch = last_epoch(record)
        self._end(trial, said(record), ENDS.get(record.status, End.FAILED))

    def _end(self, trial: Tracked, words: dict[str, str], how: End = End.KILLED) -> None:
        trial.said = words
        self._tracker.end(trial, how)

    def _score(self, record: TrialRecord) -> None:
        trial = self._tracked.bare(record, self._tracker.folder(record.trial))
        if record.test is not None and self._tracker.knows(trial):
            found = {STEP: last_epoch(record), "test_accuracy": record.test.accuracy}
            self._tracker.add(trial, found)
