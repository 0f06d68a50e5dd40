"""Files of a run folder, on a disk or in an object store: whole at every instant, or an error."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import fsspec
from fsspec.utils import get_protocol
from pydantic import BaseModel, ValidationError
from upath import UPath

from bench.errors import LedgerError, StorageError
from bench.records.trial_record import TrialRecord

Location: TypeAlias = Path | UPath

RUNS = Path("runs")
"""Where run folders lie unless asked otherwise, each by the name of its study."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Extra of this distribution per protocol."""

NO_STORE = frozenset({"memory", "data", "http", "https"})
"""Protocols of fsspec to which nobody else can write, or nothing can be written."""

CREDENTIALS = re.compile(r"://[^/]*@")


def location(text: str) -> Location:
    """A place from what was typed.

    Raises:
        LedgerError: it is no place where a run folder could be.
    """
    if "://" not in text:
        return Path(text)
    check_address(text)
    protocol = get_protocol(text)
    if protocol in {"file", "local"}:
        return Path(text.partition("://")[2])
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        known = "s3://, gs:// or another protocol of fsspec"
        raise LedgerError(f"{text}: {protocol}:// is not known; use a path, {known}") from error
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        way = f"pip install 'paretune[{extra}]'" if extra else str(error)
        raise LedgerError(f"{text}: the package for {protocol}:// is missing: {way}") from error
    # Listings are kept by some file systems, which would hide what others have written since.
    return UPath(text.rstrip("/"), use_listings_cache=False)


def check_address(text: str) -> None:
    """Makes sure that what was typed is no secret, and no place where nobody could write.

    Raises:
        LedgerError: it is.
    """
    protocol = get_protocol(text)
    if CREDENTIALS.search(text):
        raise LedgerError(
            f"{protocol}://…: holds credentials, which would be written into every report; give"
            " them by the environment or the configuration of the store's own tools"
        )
    if protocol in NO_STORE:
        raise LedgerError(f"{text}: {protocol}:// cannot hold a run folder; use s3:// or a path")


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


Model = TypeVar("Model", bound=BaseModel)


def to_json(record: BaseModel) -> bytes:
    """The content of its file."""
    return (record.model_dump_json(indent=1) + "\n").encode()


def read_file(path: Location, kind: type[Model]) -> Model | str:
    """The record in a file, or what is wrong with that."""
    return read_files([path], kind)[path]


def read_files(paths: list[Location], kind: type[Model]) -> dict[Location, Model | str]:
    """The record in each file, or what is wrong with that.

    Raises:
        LedgerError: a store does not answer.
    """
    links = {path for path in paths if is_link(path)}
    contents = read_all([path for path in paths if path not in links])
    for path, content in contents.items():
        if _is_away(path, content):
            raise LedgerError(f"{path}: {content!s}; what is there is not looked at: try again")
    return {path: _record(contents.get(path), kind) for path in paths}


def _is_away(path: Location, content: bytes | OSError) -> bool:
    """Whether a store has not answered, which says nothing of the record."""
    is_gone = isinstance(content, FileNotFoundError)
    return isinstance(content, OSError) and not is_gone and not isinstance(path, Path)


def _record(content: bytes | OSError | None, kind: type[Model]) -> Model | str:
    if content is None:
        return "is a link"
    if isinstance(content, OSError):
        return first_fault(content)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        return first_fault(error)


def first_fault(error: OSError | ValidationError) -> str:
    """An error in one sentence, with the field it is about."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)


def read_records(paths: list[Location]) -> dict[Location, TrialRecord | str]:
    """The record of each finished trial, or what is wrong with its file."""
    return {
        path: found
        if isinstance(found, str) or found.fingerprint == path.stem
        else f"holds the record of {found.fingerprint}"
        for path, found in read_files(paths, TrialRecord).items()
    }
