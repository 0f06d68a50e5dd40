"""Trials as TensorBoard event files: a folder per trial, named as the trial."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from bench.plugins import file_name
from bench.records.events import TrialOutline
from bench.records.trial_record import TrialRecord
from bench.trackers.base import End, Figures, RunIdentity, Tracker, parameters

PREFIX = "ray/tune/"
"""Of every tag, as in Ray's own event files, so that runs of both lie in the same charts."""


class TensorBoard(Tracker):
    """Event files in the folder that ``tensorboard --logdir`` is given."""

    def __init__(self, identity: RunIdentity) -> None:
        self._folder = identity.folder / "tensorboard"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.where = str(self._folder)
        self._files: dict[str, _EventFile] = {}

    def begin(self, trial: TrialOutline) -> None:
        folder = self._folder / file_name(trial.name)
        self._files[trial.fingerprint] = _EventFile(folder, parameters(trial))

    def log(self, fingerprint: str, epoch: int, figures: Figures) -> None:
        self._files[fingerprint].log(epoch, figures)

    def end(self, fingerprint: str, how: End, words: dict[str, str]) -> None:
        self._files.pop(fingerprint).close(words)

    def add(self, record: TrialRecord, epoch: int, figures: Figures) -> None:
        """Adds figures in a further file of the same folder, without the parameters again."""
        folder = self._folder / file_name(record.trial)
        if folder.exists():
            file = _EventFile(folder, {})
            file.log(epoch, figures)
            file.close({})


class _EventFile:
    """What one command has to say of a trial."""

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Files are named by the second, and the next one may come in it.
        number = len(list(folder.glob("events.*")))
        self._writer: Any = SummaryWriter(str(folder), flush_secs=30, filename_suffix=f".{number}")
        self._asked = asked
        self._last: dict[str, float] = {}

    def log(self, epoch: int, figures: Figures) -> None:
        known = {PREFIX + name: one for name, one in figures.items() if not math.isnan(one)}
        for tag, value in known.items():
            self._writer.add_scalar(tag, value, global_step=epoch)
        self._writer.flush()
        self._last = known

    def close(self, words: dict[str, str]) -> None:
        """Writes parameters beside what they have come to, and closes the file."""
        if self._asked and self._last:
            # ``SummaryWriter.add_hparams`` would make a further folder for them.
            for summary in hparams({**self._asked, **words}, self._last):
                self._writer.file_writer.add_summary(summary)
        self._writer.close()
