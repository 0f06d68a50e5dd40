"""Bring a run folder from an object store to this machine."""

from __future__ import annotations

from pathlib import Path

from upath import UPath

from bench.cli.unpack import NOTE, Origin
from bench.errors import LedgerError
from bench.storage.files import Location, bring, files, read_all, write_whole
from bench.storage.ledger import Ledger

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
    small = [path for name in FOLDERS for path in _files(place / name if name else place)]
    large = _files(place / "checkpoints") if checkpoints else []
    write_whole(folder / NOTE, origin.model_dump_json().encode() + b"\n")
    size = 0
    with Ledger(folder).lock():
        for first in range(0, len(small), AT_ONCE):
            size += _bring(small[first : first + AT_ONCE], place, folder)
        for path in large:
            size += _bring_large(path, folder / "checkpoints" / path.name)
    return f"{len(small) + len(large)} files ({size / 1e6:.1f} MB)"


def _files(place: UPath) -> list[Location]:
    try:
        return [path for path in files(place, "") if not path.name.startswith(".")]
    except OSError as error:
        raise LedgerError(f"{place}: {error}") from error


def _bring(paths: list[Location], place: UPath, folder: Path) -> int:
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
