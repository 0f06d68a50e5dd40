"""Which commands may write to a run folder at the same time: one, or the parts of one study."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.errors import LedgerError
from bench.location import Location
from bench.lock import Taken, held, is_held
from bench.share import WHOLE, Share
from bench.storage import files, remove, storage_error

CLOSING = ".closing.lock"
"""Held by the one command of several that confirms, tests and reports."""


@contextlib.contextmanager
def locked_folder(folder: Location, share: Share) -> Iterator[None]:
    """Keeps other commands from running the same trials; the folder is made if need be.

    Raises:
        LedgerError: another command is at work in this folder.
        StorageError: the folder cannot be made.
    """
    path, is_new = folder / share.lock, _make(folder)
    try:
        with held(path):
            try:
                others = [lock for lock in _locks(folder, share) if lock != path]
                if _any_held(folder, others):
                    raise Taken(str(path))
                yield
            finally:
                _unmake(folder, path, is_new=is_new)
    except Taken:
        raise LedgerError(
            f"{folder}: another paretune command is writing here; wait for it or choose another"
            " --out"
        ) from None


def is_locked(folder: Location) -> bool:
    """Whether a command is writing here.

    Raises:
        LedgerError: the store does not answer.
    """
    return _any_held(folder, _locks(folder, WHOLE))


def _any_held(folder: Location, locks: list[Location]) -> bool:
    try:
        return any(map(is_held, locks))
    except OSError as error:
        raise LedgerError(f"{folder}: {error}") from error


@contextlib.contextmanager
def closing(folder: Location) -> Iterator[bool]:
    """Lets one of several commands confirm, test and report; tells whether it is this one."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(folder / CLOSING))
        except Taken:
            yield False
        else:
            yield True


def _locks(folder: Location, share: Share) -> list[Location]:
    """Locks that are here, of those that others may not hold while a part runs."""
    try:
        found = files(folder, "lock")
    except OSError as error:
        raise LedgerError(f"{folder}: {error}") from error
    return [path for path in found if path.name.startswith(".") and share.excludes(path.name)]


def _make(folder: Location) -> bool:
    """Makes a local folder, and returns whether there was none."""
    if not isinstance(folder, Path) or folder.exists():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder / ".lock", 0, error) from error
    return True


def _unmake(folder: Location, lock: Location, *, is_new: bool) -> None:
    """Leaves no trace in a local folder if nothing came of it."""
    if isinstance(folder, Path) and [*folder.iterdir()] == [lock]:
        remove(lock)
        if is_new:
            folder.rmdir()
