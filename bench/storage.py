"""Files that are whole at every instant, or an error that says what could not be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from bench.errors import StorageError


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file so that at every instant it is absent, old or new, never half.

    A temporary file in the same folder is filled, synced and renamed; the folder is synced too,
    so that the rename outlives a power cut.

    Args:
        path: the file; its folder is made if need be.
        content: all of it.
        durable: whether to sync.

    Raises:
        StorageError: it cannot be written, as on a full disk.
    """
    try:
        _write_whole(path, content, durable=durable)
    except OSError as error:
        raise storage_error(path, len(content), error) from error


def _write_whole(path: Path, content: bytes, *, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def storage_error(path: Path, size: int, error: OSError) -> StorageError:
    """What an error of the system means for a file of so many bytes."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        free = None
    return StorageError(str(path), size, free, error.strerror or type(error).__name__)
