"""A trial in the plain values that experiment trackers store, and what a tracker has to do."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from bench.location import RUNS, Location
from bench.record import Status, TrialRecord
from bench.scrub import scrub
from bench.search.events import Trial
from bench.spec import content_hash
from bench.storage import create, read_whole, storage_error
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

    def trial(self, trial: Trial, folder: Path) -> Tracked:
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
