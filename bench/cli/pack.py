"""Print a run folder as text that ``paretune fetch`` reads from the log of a job."""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from pydantic import NonNegativeInt

from bench.cli.console import SUCCESS
from bench.errors import LedgerError
from bench.records.trial_record import Part
from bench.storage.ledger import Ledger

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
