"""The command ``paretune fetch``: a run folder brought here, out of a store or a job's log."""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import hashlib
import os
import re
import shlex
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TextIO

from pydantic import NonNegativeInt, ValidationError
from upath import UPath

from bench.cli.console import SUCCESS
from bench.cli.remote.jobs import BEGINNING, exit_code, meant, pick, say
from bench.cli.remote.launch import shell_path
from bench.cluster.job_server import FETCH, PURPOSE, STUDY, Job, JobServer, reach
from bench.errors import ClusterError, LedgerError
from bench.plugins import NAME
from bench.records.trial_record import Part
from bench.storage.files import (
    RUNS,
    Location,
    bring,
    files,
    location,
    read_all,
    read_file,
    storage_error,
    write_whole,
)
from bench.storage.ledger import Ledger
from reports.escape import plain

BEGIN, END = "@archive ", "@end"
"""How the lines around an archive begin."""

CHUNK = 12_000
"""Bytes per line: the text of one is a little less than what a job server sends at once."""

MOST = 512 * 2**20
"""Bytes of the largest archive that is sent through a log: at 13 MB a second, as measured on two
cores, most of a minute. The head keeps the text on its disk until the cluster ends."""

PARTS = ("study.json", "frozen.json", "trials/*.json", "report/*")
CHECKPOINTS = "checkpoints/*.safetensors"


class Header(Part):
    """What is known of an archive before it comes.

    Attributes:
        size: bytes of the archive.
        sha256: of the archive, in hexadecimal digits.
        unpacked: bytes of its files.
        files: how many.
    """

    size: NonNegativeInt
    sha256: str
    unpacked: NonNegativeInt
    files: NonNegativeInt


def pack(folder: Path, *, checkpoints: bool) -> int:
    """Prints an archive of a run folder.

    Args:
        folder: the run folder.
        checkpoints: whether what the trials have trained goes along.

    Raises:
        LedgerError: it is no run folder, or too large for a log.
    """
    ledger = Ledger(folder)
    ledger.check_inside()
    ledger.study()
    files = list(_files(folder, checkpoints=checkpoints))
    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=6) as tar:
            for path in files:
                tar.add(path, path.relative_to(folder).as_posix(), recursive=False)
        _print(archive, files, sys.stdout, folder)
    return SUCCESS


def _files(folder: Path, *, checkpoints: bool) -> Iterator[Path]:
    for pattern in (*PARTS, *([CHECKPOINTS] if checkpoints else [])):
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path


def _print(archive: IO[bytes], files: list[Path], to: TextIO, folder: Path) -> None:
    size = archive.tell()
    if size > MOST:
        raise LedgerError(
            f"{folder}: is {size / 2**20:.0f} MiB as an archive, more than the {MOST // 2**20} MiB"
            " that go through a job's log; leave --checkpoints out, or copy it with rsync"
        )
    archive.seek(0)
    digest = hashlib.sha256()
    while chunk := archive.read(CHUNK):
        digest.update(chunk)
    unpacked = sum(path.stat().st_size for path in files)
    header = Header(size=size, sha256=digest.hexdigest(), unpacked=unpacked, files=len(files))
    to.write(f"{BEGIN}{header.model_dump_json()}\n")
    archive.seek(0)
    while chunk := archive.read(CHUNK):
        to.write(base64.b64encode(chunk).decode() + "\n")
    to.write(f"{END}\n")
    to.flush()


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


FOLDERS = ("", "trials", "report")
AT_ONCE = 200
"""Small files that are asked for together."""

AGAIN = "fetch it again"


def download(place: UPath, folder: Path, origin: Origin, *, checkpoints: bool) -> str:
    """Writes the files of a run folder, each whole, beside or over those of an earlier fetch.

    Args:
        place: the run folder.
        folder: where to, which ``check_target`` has looked at.
        origin: where it comes from.
        checkpoints: whether what the trials have trained comes along.

    Returns:
        What has come, in words.

    Raises:
        LedgerError: the store does not answer, or there is no run folder.
        StorageError: a file cannot be written.
    """
    ledger = Ledger(place)
    ledger.study()
    small = [path for name in FOLDERS for path in _stored(place / name if name else place)]
    large = _stored(place / "checkpoints") if checkpoints else []
    write_whole(folder / NOTE, origin.model_dump_json().encode() + b"\n")
    size = 0
    with Ledger(folder).lock():
        for first in range(0, len(small), AT_ONCE):
            size += _copy(small[first : first + AT_ONCE], place, folder)
        for path in large:
            size += _bring_large(path, folder / "checkpoints" / path.name)
    return f"{len(small) + len(large)} files ({size / 1e6:.1f} MB)"


def _stored(place: UPath) -> list[Location]:
    try:
        return [path for path in files(place, "") if not path.name.startswith(".")]
    except OSError as error:
        raise LedgerError(f"{place}: {error}") from error


def _copy(paths: list[Location], place: UPath, folder: Path) -> int:
    """Small files, together; their bytes."""
    size = 0
    for path, content in read_all(paths).items():
        if isinstance(content, OSError):
            raise LedgerError(f"{path}: {content}; {AGAIN}")
        inside = path.name if path.parent == place else f"{path.parent.name}/{path.name}"
        write_whole(folder / inside, content, durable=False)
        size += len(content)
    return size


def _bring_large(source: Location, path: Path) -> int:
    """One file that may be larger than memory; its bytes."""
    try:
        return bring(source, path)
    except OSError as error:
        raise LedgerError(f"{source}: {error}; {AGAIN}") from error


def fetch(
    job: str | None, cluster: str | None, to: str | None, *, checkpoints: bool, insecure: bool
) -> int:
    """Brings a run folder here, through a small job on the head node.

    Args:
        job: name of the job that wrote it; ``None`` for the latest.
        cluster: a cluster file or the address of a job server.
        to: where to; ``None`` for the usual place of run folders.
        checkpoints: whether what the trials have trained comes along.
        insecure: use a cluster that lets in whoever reaches it.

    Raises:
        ClusterError: there is no such job, or the folder does not come whole.
        LedgerError: the folder here holds something else.
    """
    if to is not None and "://" in to:
        raise LedgerError(f"--to {to}: must be a folder of this machine")
    known = meant(job, cluster)
    with reach(known.cluster, insecure=insecure or known.insecure) as server:
        found = pick(server, known.job)
        if not NAME.fullmatch(found.study):
            raise ClusterError(f"{found.name}: is no study of ours; its name is {found.study!r}")
        folder = Path(to) if to else RUNS / found.study
        origin = Origin(study=found.study, folder=found.folder)
        check_target(folder, origin)
        place = location(found.folder)
        if not isinstance(place, Path):
            _tell(folder, download(place, folder, origin, checkpoints=checkpoints), checkpoints)
            return SUCCESS
        with tempfile.TemporaryFile() as archive:
            reader = _bring(server, found, place, ArchiveReader(archive), checkpoints=checkpoints)
            unpack(archive, reader.check(), folder, origin)
    header = reader.check()
    _tell(folder, f"{header.files} files ({header.size / 1e6:.1f} MB packed)", checkpoints)
    return SUCCESS


def _bring(
    server: JobServer, job: Job, folder: Path, reader: ArchiveReader, *, checkpoints: bool
) -> ArchiveReader:
    """Has the head node print the folder, and reads it.

    Raises:
        ClusterError: it could not.
    """
    name = f"fetch-{job.study}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"
    words = " --checkpoints" if checkpoints else ""
    server.submit(
        name,
        f"exec {shell_path(job.python)} -m bench pack {shell_path(str(folder))}{words}",
        {PURPOSE: FETCH, STUDY: job.study},
    )
    ended = server.follow(name, reader.take)
    if not ended:
        raise ClusterError(f"--cluster {server.cluster}: does not answer any more; fetch it again")
    done = server.job(name)
    with contextlib.suppress(ClusterError):
        server.delete(name)
    if exit_code(done) != SUCCESS:
        own = [line for line in reader.other if BEGINNING not in line and line.strip()]
        reason = plain(own[-1]) if own else done.message
        raise ClusterError(f"{plain(job.folder)} on {server.cluster}: {reason}")
    return reader


def _tell(folder: Path, what: str, checkpoints: bool) -> None:
    say(f"{what} are in {folder}")
    if not checkpoints:
        say("checkpoints were left on the cluster; --checkpoints brings them too")
    quoted = shlex.quote(str(folder))
    say(f"  paretune leaderboard {quoted}\n  paretune report {quoted}")
    say(f"  paretune recommend {quoted}")
