"""Take a run folder out of the log of a job, and write it where nothing of others is lost."""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from bench.cli.pack import BEGIN, END, MOST, Header
from bench.errors import ClusterError, LedgerError
from bench.records.trial_record import Part
from bench.storage.files import read_file, storage_error, write_whole
from bench.storage.ledger import Ledger

MEMBERS = re.compile(
    r"study\.json|frozen\.json|trials/\w[\w.-]*\.json(\.damaged)?|report/\w[\w.-]*"
    r"|checkpoints/\w[\w.-]*\.safetensors"
)
"""Files that a run folder has."""

NOTE = "fetched.json"
"""File of a fetched folder that says where it came from."""


class Origin(Part):
    """Where a fetched folder came from.

    Attributes:
        study: name of the study.
        folder: the run folder, as the cluster sees it.
    """

    study: str
    folder: str


class ArchiveReader:
    """An archive that arrives line by line.

    Args:
        file: where its bytes go.

    Attributes:
        header: what it should be; ``None`` until it begins.
        other: lines that are none of it, such as errors.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.header: Header | None = None
        self.other: list[str] = []
        self._file = file
        self._digest = hashlib.sha256()
        self._size = 0
        self._ended = False
        self._fault: str | None = None

    def take(self, line: str) -> None:
        """Takes in a line of the log."""
        if self.header is None or self._ended:
            self._take_other(line)
        elif line == END:
            self._ended = True
        elif self._fault is None:
            self._add(line, self.header)

    def _take_other(self, line: str) -> None:
        if self.header is not None or not line.startswith(BEGIN):
            self.other.append(line)
            return
        try:
            self.header = Header.model_validate_json(line.removeprefix(BEGIN))
        except ValidationError as error:
            self._fault = f"its header cannot be read: {error.errors()[0]['msg']}"

    def _add(self, line: str, header: Header) -> None:
        try:
            chunk = base64.b64decode(line, validate=True)
        except binascii.Error:
            self._fault = "a line of it is no base64"
            return
        self._size += len(chunk)
        if self._size > min(header.size, MOST):
            self._fault = f"it is longer than the {header.size} bytes it said"
            return
        self._digest.update(chunk)
        self._file.write(chunk)

    def check(self) -> Header:
        """Makes sure that it has come whole.

        Raises:
            ClusterError: it has not.
        """
        header, fault = self.header, self._fault
        if header is None:
            raise ClusterError(fault or "no archive has come")
        if fault is None and self._size != header.size:
            fault = f"{self._size} of {header.size} bytes have come"
        if fault is None and self._digest.hexdigest() != header.sha256:
            fault = "its SHA-256 is not the one it said"
        if fault:
            raise ClusterError(f"the archive is damaged: {fault}; fetch it again")
        return header


def check_target(folder: Path, origin: Origin) -> None:
    """Makes sure that a folder may be written to: new, empty, or fetched from there before.

    Raises:
        LedgerError: it holds something else.
    """
    if folder.is_dir() and not folder.is_symlink():
        if not any(folder.iterdir()):
            return
        note = read_file(folder / NOTE, Origin)
        if note == origin:
            return
        held = f"was fetched from {note.folder}" if isinstance(note, Origin) else "is in use"
        raise LedgerError(f"--to {folder}: {held}; name a folder that is new or empty")
    if folder.exists() or folder.is_symlink():
        raise LedgerError(f"--to {folder}: is no folder; name one that is new or empty")


def unpack(archive: IO[bytes], header: Header, folder: Path, origin: Origin) -> None:
    """Writes the files of an archive, each whole, beside or over those of an earlier fetch.

    Args:
        archive: whole and checked.
        header: what it said of itself.
        folder: where to.
        origin: where it came from.

    Raises:
        ClusterError: the archive holds what no run folder does; nothing was written.
        LedgerError: the folder holds something else.
        StorageError: a file cannot be written.
    """
    check_target(folder, origin)
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free
    if header.unpacked > free:
        no_room = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise storage_error(folder, header.unpacked, no_room)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=parent) as temporary:
        archive.seek(0)
        names = _extract(archive, header, Path(temporary))
        write_whole(folder / NOTE, origin.model_dump_json().encode() + b"\n")
        with Ledger(folder).lock():
            for name in names:
                _move(Path(temporary) / name, folder / name)


def _move(source: Path, path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        source.replace(path)
    except OSError as error:
        raise storage_error(path, source.stat().st_size, error) from error


def _extract(archive: IO[bytes], header: Header, folder: Path) -> list[str]:
    """Names of the files, which lie in a folder of their own then."""
    names, unpacked = [], 0
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            for member in tar:
                unpacked += member.size
                if not member.isreg() or unpacked > header.unpacked or not _is_ours(member.name):
                    raise ClusterError(
                        f"the archive holds {member.name!r}, which no run folder has"
                    )
                tar.extract(member, folder, filter="data")
                names.append(member.name)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ClusterError(f"the archive cannot be unpacked: {error}") from error
    return names


def _is_ours(name: str) -> bool:
    return MEMBERS.fullmatch(name) is not None
