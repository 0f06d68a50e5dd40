"""The run folder: one file per finished trial, written whole or not at all. The only truth."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from bench.errors import LedgerError
from bench.record import StudyRecord, TrialRecord


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a ledger holds.

    Attributes:
        readable: records by fingerprint.
        damaged: file and fault of every record that could not be read.
    """

    readable: dict[str, TrialRecord]
    damaged: dict[Path, str]


@dataclass(frozen=True)
class Ledger:
    """A run folder: ``study.json``, ``trials/``, ``checkpoints/``, ``report/``.

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

    def write(self, record: TrialRecord) -> None:
        """Adds a finished trial, or replaces it by a fuller record of the same trial."""
        write_whole(self._trial(record.fingerprint), _json(record))

    def write_study(self, study: StudyRecord) -> None:
        """States what this folder was last asked to do."""
        write_whole(self.folder / "study.json", _json(study))

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
            raise LedgerError(f"{path}: {_first_fault(error)}") from error

    def records(self) -> Records:
        """All finished trials; damaged files are named, not hidden and not changed."""
        readable: dict[str, TrialRecord] = {}
        damaged: dict[Path, str] = {}
        for path in sorted((self.folder / "trials").glob("*.json")):
            try:
                record = TrialRecord.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                damaged[path] = _first_fault(error)
                continue
            if record.fingerprint == path.stem:
                readable[record.fingerprint] = record
            else:
                damaged[path] = f"holds the record of {record.fingerprint}"
        return Records(readable=readable, damaged=damaged)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other commands from writing here; the system frees it with the process.

        Raises:
            LedgerError: another command is at work in this folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ".lock"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise LedgerError(
                f"{self.folder}: another paretune command is writing here; wait for it or"
                " choose another --out"
            ) from None
        try:
            yield
        finally:
            if list(self.folder.iterdir()) == [path]:  # nothing came of it: leave no trace
                path.unlink()
                self.folder.rmdir()
            lock.release()


def set_aside(damaged: Path) -> Path:
    """Renames a damaged file so that its trial can run again, and returns the new path."""
    aside = damaged.with_suffix(".json.damaged")
    damaged.replace(aside)
    return aside


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that at every instant it is absent, old or new, never half.

    A temporary file in the same folder is filled, synced and renamed; the folder is synced too,
    so that the rename outlives a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _json(record: BaseModel) -> bytes:
    return (record.model_dump_json(indent=1) + "\n").encode()


def _first_fault(error: OSError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
