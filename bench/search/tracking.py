"""Show a run's trials in experiment trackers, which can neither stop nor slow it.

Trackers are Ray's own callbacks. They are told what the command's view is told, and not attached to
Tune: an event has the record as it is in the ledger, with the name that reports use; a trial that
is tried again is one run; and the scoring of a trial, which is a trial of its own to Tune, adds to
the run of the trial. Every tracker works through its events on a thread of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from bench.errors import StudyError
from bench.location import Location
from bench.record import TrialRecord
from bench.scrub import scrub
from bench.search.events import (
    Ended,
    EpochDone,
    Event,
    Halted,
    Noted,
    Observer,
    Scored,
    Started,
)
from bench.search.tracked import (
    ENDS,
    EPOCH_ACCURACY,
    STEP,
    End,
    Tracked,
    TrackedRun,
    curve,
    figures,
    last_epoch,
    said,
)

if TYPE_CHECKING:
    from bench.search.tracked import Tracker

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
        packages=("mlflow-skinny", "mlflow"), module="bench.search.track_mlflow", name="Mlflow"
    ),
    "tensorboard": _Kind(
        packages=("tensorboardX",), module="bench.search.track_tensorboard", name="TensorBoard"
    ),
    "wandb": _Kind(packages=("wandb",), module="bench.search.track_wandb", name="WeightsAndBiases"),
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
