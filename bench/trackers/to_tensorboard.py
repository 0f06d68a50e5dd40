"""Trials as TensorBoard event files, through Ray's callback: a folder per trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.logger import TBXLoggerCallback

from bench.plugins import file_name
from bench.trackers.base import End, Likeness, TrackedRun


class TensorBoard(TBXLoggerCallback):
    """Event files in a folder per trial, named as the trial.

    Args:
        run: which trials belong to.
    """

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._folder = run.folder / "tensorboard"
        self._new_writer = self._summary_writer_cls
        self._summary_writer_cls = self._writer

    def _writer(self, folder: str, **options: Any) -> Any:
        """A file of its own: files are named by the second, and the next one may come in it."""
        number = len(list(Path(folder).glob("events.*")))
        return self._new_writer(folder, filename_suffix=f".{number}", **options)

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Makes the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def where(self) -> str:
        """The folder that ``tensorboard --logdir`` is given."""
        return str(self._folder)

    def folder(self, name: str) -> Path:
        """A folder per trial."""
        return self._folder / file_name(name)

    def knows(self, trial: Likeness) -> bool:
        """Whether it has a folder."""
        return bool(trial.folder.exists())

    def end(self, trial: Likeness, how: End) -> None:
        """Writes parameters beside what they have come to, and closes the file."""
        self.log_trial_end(trial, failed=how is End.FAILED)

    def add(self, trial: Likeness, result: dict[str, Any]) -> None:
        """Adds figures in a further file of the same folder, without the parameters again."""
        self.log_trial_start(trial)
        self.log_trial_result(0, trial, result)
        self._trial_result[trial] = {}
        self.log_trial_end(trial)

    def close(self) -> None:
        """Nothing: files are closed with their trials."""
