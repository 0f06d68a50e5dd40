"""Who may write to a run folder: a lock of the system, or a lease in a store; by share."""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import hashlib
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from upath import UPath

from bench.errors import LedgerError, StorageError
from bench.storage.files import (
    Location,
    create,
    files,
    modified,
    read_whole,
    remove,
    storage_error,
    write_whole,
)


@dataclass(frozen=True)
class Share:
    """One part of so many; the whole is part 1 of 1.

    Attributes:
        number: of the part, from 1.
        of: parts there are.
    """

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Share:
        """From what was typed, such as ``2/4``.

        Raises:
            ValueError: it is no share.
        """
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError("must be I/N, the I-th of N parts, such as 2/4")
        return cls(int(found[1]), int(found[2]))

    @property
    def is_part(self) -> bool:
        """Whether there are other parts."""
        return self.of > 1

    @property
    def lock(self) -> str:
        """Name of the file that keeps others from running it too."""
        return f".shard-{self.number}-of-{self.of}.lock" if self.is_part else ".lock"

    def excludes(self, lock: str) -> bool:
        """Whether whoever else holds a lock may run trials of this part.

        Args:
            lock: its name, of any but this part's own.
        """
        if not self.is_part:
            return True
        return (
            lock == WHOLE.lock
            or re.fullmatch(rf"\.shard-\d+-of-(?!{self.of}\b)\d+\.lock", lock) is not None
        )

    def holds(self, arm: int, number: int) -> bool:
        """Whether a trial belongs to this part: every part gets as much of each arm as can be.

        Args:
            arm: its place in the study, from 0.
            number: of the trial in its arm.
        """
        return (arm + number) % self.of == self.number - 1


WHOLE = Share()


PATIENCE = 0.5
"""Seconds to wait for a lock of the system, which whoever asks for it holds for an instant."""

BEAT = 3.0
"""Seconds after which a holder writes its lease anew."""

STALE = 20.0
"""Seconds after which a lease that has not changed is taken over."""

SETTLE = 2.0
"""Seconds after which whoever took a lease over looks whether another has done so too."""

SKEW = 60.0
"""Seconds by which clocks may differ where age alone tells whether a lease is alive."""


class Taken(Exception):
    """Another process holds it."""


@contextlib.contextmanager
def held(path: Location) -> Iterator[None]:
    """Holds a lock for as long as the context lasts.

    Raises:
        Taken: another process holds it.
        StorageError: it cannot be written.
    """
    with _file_lock(path) if isinstance(path, Path) else _lease(path):
        yield


def is_held(path: Location) -> bool:
    """Whether a process holds a lock, as far as can be told without waiting."""
    if not isinstance(path, Path):
        return _is_alive(path)
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or not for us to read
        return False
    return False


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    lock = FileLock(path, timeout=PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise Taken(str(path)) from None
    except OSError as error:
        raise storage_error(path, 0, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _lease(path: UPath) -> Iterator[None]:
    token = uuid.uuid4().hex
    try:
        _take(path, token)
    except OSError as error:
        raise storage_error(path, 0, error) from error
    ended = threading.Event()
    beats = threading.Thread(target=_beat, args=(path, token, ended), daemon=True)
    beats.start()
    try:
        yield
    finally:
        ended.set()
        beats.join()
        with contextlib.suppress(OSError):
            if _read(path).get("token") == token:
                remove(path)


def _take(path: UPath, token: str) -> None:
    """Writes a lease where there is none, or none that is alive.

    Raises:
        Taken: a live one is there.
    """
    if create(path, _content(token, 0)):
        return
    before = _read(path)
    end = time.monotonic() + STALE
    while before and not _is_dead(before) and time.monotonic() < end:
        time.sleep(BEAT / 3)
        now = _read(path)
        if now and now != before:
            raise Taken(str(path))
        before = now
    write_whole(path, _content(token, 0))
    time.sleep(SETTLE)
    if _read(path).get("token") != token:
        raise Taken(str(path))


def _beat(path: UPath, token: str, ended: threading.Event) -> None:
    """Keeps a lease alive; ends the command, as Ctrl-C does, if another has taken it over."""
    count, renewed = 0, time.monotonic()
    while not ended.wait(BEAT):
        count += 1
        lost = time.monotonic() - renewed > STALE  # then another may hold it
        with contextlib.suppress(OSError, StorageError):  # a store out of reach may come back
            lost = lost or _read(path).get("token") not in {token, None}
            if not lost:
                write_whole(path, _content(token, count), durable=False)
                renewed = time.monotonic()
        if lost:
            _thread.interrupt_main()
            return


def _content(token: str, count: int) -> bytes:
    return json.dumps({"token": token, "beat": count, **_self()}).encode()


def _self() -> dict[str, Any]:
    """What tells this process from others, without naming its machine."""
    with contextlib.suppress(OSError):
        space = Path("/proc/self/ns/pid").readlink()  # containers of one machine count on their own
        machine = f"{uuid.getnode()}/{psutil.boot_time():.0f}/{space}"
        return {
            "machine": hashlib.sha256(machine.encode()).hexdigest()[:16],
            "process": os.getpid(),
            "started": psutil.Process().create_time(),
        }
    return {}


def _is_dead(lease: dict[str, Any]) -> bool:
    """Whether its holder was a process of this machine that has ended."""
    if "machine" not in lease or lease["machine"] != _self().get("machine"):
        return False
    try:
        return bool(psutil.Process(lease["process"]).create_time() != lease["started"])
    except psutil.NoSuchProcess:
        return True


def _read(path: UPath) -> dict[str, Any]:
    """A lease; empty if there is none."""
    try:
        content = json.loads(read_whole(path))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_alive(path: UPath) -> bool:
    try:
        lease = _read(path)
        if not lease or _is_dead(lease):
            return False
        return (datetime.now(UTC) - modified(path)).total_seconds() < STALE + SKEW
    except FileNotFoundError:
        return False


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
