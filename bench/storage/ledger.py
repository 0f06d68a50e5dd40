"""The run folder: one file per finished trial, written whole or not at all. The only truth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.errors import LedgerError
from bench.records.scrub import scrubbed
from bench.records.study_record import Freeze, Run, StudyRecord
from bench.records.trial_record import Part, TrialRecord
from bench.storage.files import (
    Location,
    files,
    first_fault,
    is_link,
    read_files,
    read_records,
    read_whole,
    remove,
    storage_error,
    to_json,
    write_whole,
)
from bench.storage.locks import WHOLE, Share, closing, is_locked, locked_folder

FOLDERS = ("trials", "working", "checkpoints", "report")

MENDED = "run the study's command again: it sets damaged files aside"


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a ledger holds.

    Attributes:
        readable: records by fingerprint.
        damaged: file and fault of everything that could not be read.
        freeze: what was chosen from the search; ``None`` before that, or if it is damaged.
    """

    readable: dict[str, TrialRecord]
    damaged: dict[Location, str]
    freeze: Freeze | None


class AtWork(Part):
    """A trial that has begun and not ended: running, or interrupted if no command is at work.

    Attributes:
        trial: its name in reports.
        fingerprint: of the trial.
        attempt: which it is, from 1; 0 if it is not at work and only its deaths are remembered.
        deaths: workers that have died of it.
    """

    trial: str
    fingerprint: str
    attempt: int
    deaths: int


@dataclass(frozen=True)
class Ledger:
    """A run folder: ``study.json`` and ``FOLDERS``.

    Attributes:
        folder: where it lies; made at the first write.
    """

    folder: Location

    @property
    def report_folder(self) -> Location:
        """Where reports go."""
        return self.folder / "report"

    def checkpoint(self, fingerprint: str) -> Location:
        """File of the tensors that the trial trained."""
        return self.folder / "checkpoints" / f"{fingerprint}.safetensors"

    def _trial(self, fingerprint: str) -> Location:
        return self.folder / "trials" / f"{fingerprint}.json"

    def stack(self, fingerprint: str) -> Location:
        """File where a worker that gives up a hung trial writes what it was doing."""
        return self.folder / "working" / f"{fingerprint}.stack"

    def read_stack(self, fingerprint: str) -> str | None:
        """What a worker that gave up a hung trial was doing; ``None`` if none did."""
        try:
            return read_whole(self.stack(fingerprint)).decode(errors="replace") or None
        except OSError:
            return None

    def _at_work(self, fingerprint: str) -> Location:
        return self.folder / "working" / f"{fingerprint}.json"

    def begin(self, at_work: AtWork) -> None:
        """Notes that a trial is at work. Only told, never relied on: not synced to the disk."""
        write_whole(self._at_work(at_work.fingerprint), to_json(at_work), durable=False)

    def at_work(self) -> list[AtWork]:
        """Trials that have begun and not ended, by name."""
        read = read_files([*self._files("working")], AtWork).values()
        found = [at_work for at_work in read if not isinstance(at_work, str)]
        return sorted(found, key=lambda at_work: at_work.trial)

    def _files(self, folder: str) -> dict[Location, tuple[object, ...]]:
        """Records of a folder, each with a stamp that changes with it.

        Raises:
            LedgerError: the store does not answer.
        """
        try:
            return files(self.folder / folder, ".json")
        except OSError as error:
            raise LedgerError(f"{self.folder}: {first_fault(error)}") from error

    def trial_files(self) -> dict[Location, tuple[object, ...]]:
        """Files of finished trials, each with a stamp that changes with it.

        Raises:
            LedgerError: the store does not answer.
        """
        return self._files("trials")

    def write(self, record: TrialRecord) -> TrialRecord:
        """Adds a finished trial, or replaces it by a fuller record of the same trial.

        Returns:
            The record as it was written: without secrets.

        Raises:
            StorageError: it cannot be written.
        """
        record = scrubbed(record)
        write_whole(self._trial(record.fingerprint), to_json(record))
        with contextlib.suppress(OSError):  # marks are only told
            remove(self._at_work(record.fingerprint))
            remove(self.stack(record.fingerprint))
        return record

    def write_study(self, study: StudyRecord) -> StudyRecord:
        """States what this folder was last asked to do.

        Returns:
            The record as it was written: without secrets.

        Raises:
            StorageError: it cannot be written.
        """
        study = scrubbed(study)
        write_whole(self.folder / "study.json", to_json(study))
        return study

    @property
    def is_stated(self) -> bool:
        """Whether it says what it was asked to do.

        Raises:
            LedgerError: the store does not answer.
        """
        return self.folder / "study.json" in self._files("")

    def study(self) -> StudyRecord:
        """What this folder was last asked to do.

        Raises:
            LedgerError: it is no run folder, or its study cannot be read.
        """
        path = self.folder / "study.json"
        try:
            return StudyRecord.model_validate_json(read_whole(path))
        except FileNotFoundError:
            raise LedgerError(
                f"{self.folder}: no study.json here; name a folder that `paretune sweep` wrote"
            ) from None
        except (OSError, ValidationError) as error:
            raise LedgerError(f"{path}: {first_fault(error)}") from error

    def write_freeze(self, freeze: Freeze) -> Freeze:
        """States what was chosen from the search.

        Raises:
            StorageError: it cannot be written.
        """
        write_whole(self.folder / "frozen.json", to_json(freeze))
        return freeze

    def freeze(self) -> Freeze | None:
        """What was chosen from the search; ``None`` before that.

        Raises:
            LedgerError: it cannot be read.
        """
        found = self._freeze()
        if isinstance(found, str):
            raise LedgerError(f"{self._frozen}: {found}", MENDED)
        return found

    @property
    def _frozen(self) -> Location:
        return self.folder / "frozen.json"

    def _freeze(self) -> Freeze | str | None:
        if is_link(self._frozen):
            return "is a link"
        try:
            return Freeze.model_validate_json(read_whole(self._frozen))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            return first_fault(error)
        except OSError as error:
            if not isinstance(self._frozen, Path):  # says nothing of what is there
                raise LedgerError(f"{self._frozen}: {error}") from error
            return first_fault(error)

    def run(self) -> Run:
        """Everything that belongs to the study as it stands.

        Raises:
            LedgerError: it is no run folder, or records are damaged.
        """
        self.check_inside()
        study, found = self.study(), self.records()
        if found.damaged:
            faults = (f"{path.name}: {fault}" for path, fault in found.damaged.items())
            raise LedgerError(*faults, MENDED)
        return Run.of(study, found.readable.values(), found.freeze)

    def records(self) -> Records:
        """All that was found and chosen; damaged files are named, not hidden and not changed."""
        read = read_records([*self.trial_files()])
        freeze = self._freeze()
        damaged = {path: found for path, found in read.items() if isinstance(found, str)}
        return Records(
            readable={r.fingerprint: r for r in read.values() if not isinstance(r, str)},
            damaged=damaged | ({self._frozen: freeze} if isinstance(freeze, str) else {}),
            freeze=None if isinstance(freeze, str) else freeze,
        )

    @contextlib.contextmanager
    def lock(self, share: Share = WHOLE) -> Iterator[None]:
        """Keeps other commands from running the same trials.

        What a command that was killed has left half done is cleared away, if no other can be at
        work here.

        Raises:
            LedgerError: another command is at work in this folder, or it leads out of itself.
            StorageError: the folder cannot be made or cleared.
        """
        with locked_folder(self.folder, share):
            self.check_inside()
            try:
                self._clear(share)
            except OSError as error:
                raise storage_error(self.folder, 0, error) from error
            yield

    @property
    def locked(self) -> bool:
        """Whether a command is writing here."""
        return is_locked(self.folder)

    def closing(self) -> AbstractContextManager[bool]:
        """Lets one of several commands confirm, test and report; tells whether it is this one."""
        return closing(self.folder)

    def check_inside(self) -> None:
        """Makes sure that nothing here leads elsewhere.

        Raises:
            LedgerError: a folder is a link.
        """
        links = [name for name in FOLDERS if is_link(self.folder / name)]
        if links:
            raise LedgerError(
                *(f"{self.folder / name}: is a link, a folder is needed" for name in links)
            )

    def _clear(self, share: Share) -> None:
        """Removes temporary files and marks; of trials that workers died of the mark is kept."""
        if share.is_part:
            return  # they may be of the other parts
        if isinstance(self.folder, Path):
            left = [*self.folder.glob(".*.tmp"), *self.folder.glob("*/.*.tmp")]
            for path in (*left, *(self.folder / "working").glob("*.stack")):
                path.unlink(missing_ok=True)
        for at_work in self.at_work():
            if at_work.deaths:
                self.begin(at_work.model_copy(update={"attempt": 0}))
            else:
                remove(self._at_work(at_work.fingerprint))
