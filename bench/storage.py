"""Files that are whole at every instant, or an error that says what could not be written.

Places in object stores are served by the same functions: there one request writes one object, which
is whole by itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from upath import UPath

from bench.errors import StorageError
from bench.location import Location


def write_whole(path: Location, content: bytes, *, durable: bool = True) -> None:
    """Writes a file so that at every instant it is absent, old or new, never half.

    On this machine a temporary file in the same folder is filled, synced and renamed; the folder is
    synced too, so that the rename outlives a power cut.

    Args:
        path: the file; its folder is made if need be.
        content: all of it.
        durable: whether to sync.

    Raises:
        StorageError: it cannot be written, as on a full disk.
    """
    try:
        if isinstance(path, Path):
            _write_whole(path, content, durable=durable)
        else:
            with _errors_of_the_system():
                path.fs.pipe_file(path.path, content)
    except OSError as error:
        raise storage_error(path, len(content), error) from error


def _write_whole(path: Path, content: bytes, *, durable: bool) -> None:
    with _temporary(path) as temporary:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """An empty file beside another, which is gone with the context unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def bring(source: Location, path: Path) -> int:
    """Copies a file of any size to one of this machine that is whole at every instant.

    Returns:
        Its bytes.

    Raises:
        OSError: it is not there, the store does not answer, or the file cannot be written.
    """
    with _temporary(path) as temporary:
        if isinstance(source, Path):
            shutil.copyfile(source, temporary)
        else:
            with _errors_of_the_system():
                source.fs.get_file(source.path, str(temporary))
        size = temporary.stat().st_size
        temporary.replace(path)
    return size


def is_link(path: Location) -> bool:
    """Whether a file is a link; stores have none."""
    return isinstance(path, Path) and path.is_symlink()


def modified(path: UPath) -> datetime:
    """When an object of a store was last written, by the store's clock.

    Raises:
        OSError: it is not there (``FileNotFoundError``), or the store does not answer.
    """
    with _errors_of_the_system():
        changed: datetime = path.fs.modified(path.path)
        return changed


def read_whole(path: Location) -> bytes:
    """The content of a file.

    Raises:
        OSError: it is not there (``FileNotFoundError``), or cannot be read.
    """
    if isinstance(path, Path):
        return path.read_bytes()
    with _errors_of_the_system():
        content: bytes = path.fs.cat_file(path.path)
        return content


def read_all(paths: list[Location]) -> dict[Location, bytes | OSError]:
    """Content of each file, or why it cannot be read; those of a store are asked for together."""
    found: dict[Location, bytes | OSError] = {}
    remote = [path for path in paths if not isinstance(path, Path)]
    for path in paths:
        if isinstance(path, Path):
            try:
                found[path] = path.read_bytes()
            except OSError as error:
                found[path] = error
    if remote:
        by_key = {path.path: path for path in remote}
        with _errors_of_the_system():
            answers: dict[str, Any] = remote[0].fs.cat([*by_key], on_error="return")
        for key, answer in answers.items():
            place = by_key[key]
            found[place] = answer if isinstance(answer, bytes) else _os_error(answer)
    return found


def files(folder: Location, suffix: str) -> dict[Location, tuple[object, ...]]:
    """Files of a folder by name, each with a stamp that changes with its content.

    Args:
        folder: one that may not exist.
        suffix: how their names end.

    Raises:
        OSError: the store does not answer.
    """
    if isinstance(folder, Path):
        return _local_files(folder, suffix)
    with _errors_of_the_system(), contextlib.suppress(FileNotFoundError):
        entries = folder.fs.ls(folder.path, detail=True, refresh=True)
        keys = ("ETag", "LastModified", "mtime", "created", "size")
        return {
            folder / name: tuple(entry.get(key) for key in keys)
            for entry in sorted(entries, key=lambda entry: str(entry["name"]))
            if entry["type"] == "file" and (name := entry["name"].rpartition("/")[2])
            and name.endswith(suffix)
        }  # fmt: skip
    return {}


def _local_files(folder: Path, suffix: str) -> dict[Location, tuple[object, ...]]:
    found: dict[Location, tuple[object, ...]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.endswith(suffix):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                    found[Path(entry)] = stamp
    return found


def remove(path: Location) -> None:
    """Removes a file, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    if isinstance(path, Path):
        path.unlink(missing_ok=True)
        return
    with _errors_of_the_system(), contextlib.suppress(FileNotFoundError):
        path.fs.rm_file(path.path)


def rename(path: Location, name: str) -> Location:
    """Gives a file another name in its folder, and returns where it is; a store copies it first.

    Raises:
        OSError: it cannot be renamed.
    """
    if isinstance(path, Path):
        return path.replace(path.with_name(name))
    new = path.with_name(name)
    with _errors_of_the_system():
        path.fs.pipe_file(new.path, path.fs.cat_file(path.path))
        path.fs.rm_file(path.path)
    return new


def create(path: Location, content: bytes) -> bool:
    """Writes a file, whole, if none of that name is there; whether it was written.

    Raises:
        OSError: it cannot be written, or the store does not answer.
    """
    try:
        if isinstance(path, Path):
            with _temporary(path) as temporary:
                temporary.write_bytes(content)
                path.hardlink_to(temporary)
            return True
        with _errors_of_the_system():
            path.fs.pipe_file(path.path, content, mode="create")
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def local_copy(path: Location) -> Iterator[Path]:
    """A path of this machine for libraries that read nothing else; its own where it is here.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="paretune-") as scratch:
        copy = Path(scratch) / path.name
        copy.write_bytes(read_whole(path))
        yield copy


@contextlib.contextmanager
def _errors_of_the_system() -> Iterator[None]:
    """Makes every error of a store's library one of the system's, which callers know."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise _os_error(error) from error


def _os_error(error: Exception) -> OSError:
    if isinstance(error, OSError):
        return error
    return OSError(f"{type(error).__name__}: {error}")


def storage_error(path: Location, size: int, error: OSError) -> StorageError:
    """What an error of the system means for a file of so many bytes."""
    free = None
    if isinstance(path, Path):
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(path.parent).free
    return StorageError(str(path), size, free, error.strerror or str(error) or type(error).__name__)
