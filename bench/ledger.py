"""The run folder: one file per finished trial, written whole or not at all. The only truth."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from bench.errors import LedgerError
from bench.record import Part, TrialRecord
from bench.record_file import first_fault, read_file, to_json
from bench.scrub import scrubbed
from bench.storage import storage_error, write_whole
from bench.study_record import Freeze, Run, StudyRecord

FOLDERS = ("trials", "working", "checkpoints", "report")

MENDED = "run the study's command again: it sets damaged files aside"

PATIENCE = 0.5
"""Seconds to wait for the lock, which whoever asks for the status holds for an instant."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a ledger holds.

    Attributes:
        readable: records by fingerprint.
        damaged: file and fault of everything that could not be read.
        freeze: what was chosen from the search; ``None`` before that, or if it is damaged.
    """

    readable: dict[str, TrialRecord]
    damaged: dict[Path, str]
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
        folder: its path; made at the first write.
    """

    folder: Path

    @property
    def report_folder(self) -> Path:
        """Where reports go."""
        return self.folder / "report"

    def checkpoint(self, fingerprint: str) -> Path:
        """File of the tensors that the trial trained."""
        return self.folder / "checkpoints" / f"{fingerprint}.safetensors"

    def _trial(self, fingerprint: str) -> Path:
        return self.folder / "trials" / f"{fingerprint}.json"

    def stack(self, fingerprint: str) -> Path:
        """File where a worker that gives up a hung trial writes what it was doing."""
        return self.folder / "working" / f"{fingerprint}.stack"

    def read_stack(self, fingerprint: str) -> str | None:
        """What a worker that gave up a hung trial was doing; ``None`` if none did."""
        try:
            return self.stack(fingerprint).read_text(encoding="utf-8", errors="replace") or None
        except OSError:
            return None

    def _at_work(self, fingerprint: str) -> Path:
        return self.folder / "working" / f"{fingerprint}.json"

    def begin(self, at_work: AtWork) -> None:
        """Notes that a trial is at work. Only told, never relied on: not synced to the disk."""
        write_whole(self._at_work(at_work.fingerprint), to_json(at_work), durable=False)

    def at_work(self) -> list[AtWork]:
        """Trials that have begun and not ended, by name."""
        found = []
        for path in (self.folder / "working").glob("*.json"):
            with contextlib.suppress(OSError, ValidationError):
                found.append(AtWork.model_validate_json(path.read_bytes()))
        return sorted(found, key=lambda at_work: at_work.trial)

    def write(self, record: TrialRecord) -> TrialRecord:
        """Adds a finished trial, or replaces it by a fuller record of the same trial.

        Returns:
            The record as it was written: without secrets.

        Raises:
            StorageError: it cannot be written.
        """
        record = scrubbed(record)
        write_whole(self._trial(record.fingerprint), to_json(record))
        self._at_work(record.fingerprint).unlink(missing_ok=True)
        self.stack(record.fingerprint).unlink(missing_ok=True)
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

    def study(self) -> StudyRecord:
        """What this folder was last asked to do.

        Raises:
            LedgerError: it is no run folder, or its study cannot be read.
        """
        path = self.folder / "study.json"
        try:
            return StudyRecord.model_validate_json(path.read_bytes())
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
    def _frozen(self) -> Path:
        return self.folder / "frozen.json"

    def _freeze(self) -> Freeze | str | None:
        return read_file(self._frozen, Freeze) if self._frozen.exists() else None

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
        read = {path: read_record(path) for path in sorted((self.folder / "trials").glob("*.json"))}
        freeze = self._freeze()
        damaged = {path: found for path, found in read.items() if isinstance(found, str)}
        return Records(
            readable={r.fingerprint: r for r in read.values() if not isinstance(r, str)},
            damaged=damaged | ({self._frozen: freeze} if isinstance(freeze, str) else {}),
            freeze=None if isinstance(freeze, str) else freeze,
        )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other commands from writing here; the system frees it with the process.

        Clears away what a command that was killed has left half done.

        Raises:
            LedgerError: another command is at work in this folder, or it leads out of itself.
            StorageError: the folder cannot be made.
        """
        path = self.folder / ".lock"
        lock = FileLock(path, timeout=PATIENCE)
        is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise LedgerError(
                f"{self.folder}: another paretune command is writing here; wait for it or"
                " choose another --out"
            ) from None
        except OSError as error:
            raise storage_error(path, 0, error) from error
        try:
            self.check_inside()
            self._clear()
            yield
        finally:
            if list(self.folder.iterdir()) == [path]:  # nothing came of it: leave no trace
                path.unlink()
                if is_new:
                    self.folder.rmdir()
            lock.release()

    @property
    def locked(self) -> bool:
        """Whether a command is writing here."""
        try:
            with (self.folder / ".lock").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # there is none, or not for us to read
            return False
        return False

    def check_inside(self) -> None:
        """Makes sure that nothing here leads elsewhere.

        Raises:
            LedgerError: a folder is a link.
        """
        links = [name for name in FOLDERS if (self.folder / name).is_symlink()]
        if links:
            raise LedgerError(
                *(f"{self.folder / name}: is a link, a folder is needed" for name in links)
            )

    def _clear(self) -> None:
        """Removes temporary files and marks; of trials that workers died of the mark is kept."""
        left = [*self.folder.glob(".*.tmp"), *self.folder.glob("*/.*.tmp")]
        for path in (*left, *(self.folder / "working").glob("*.stack")):
            path.unlink(missing_ok=True)
        for at_work in self.at_work():
            if at_work.deaths:
                self.begin(at_work.model_copy(update={"attempt": 0}))
            else:
                self._at_work(at_work.fingerprint).unlink(missing_ok=True)


def read_record(path: Path) -> TrialRecord | str:
    """The record of a finished trial, or what is wrong with its file."""
    found = read_file(path, TrialRecord)
    if isinstance(found, str) or found.fingerprint == path.stem:
        return found
    return f"holds the record of {found.fingerprint}"


def set_aside(damaged: Path) -> Path:
    """Renames a damaged file so that its trial can run again, and returns the new path."""
    aside = damaged.with_suffix(".json.damaged")
    damaged.replace(aside)
    return aside
