"""Reach the job server of a cluster, through a tunnel where only its head's ssh is open."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.errors import ClusterError
from bench.search.connect import connect
from bench.search.jobs import JobServer, last_line

OPEN_SECONDS = 120.0
"""A tunnel that is not open by then does not open."""

CLOSE_SECONDS = 5.0

SAID = "The exception is: "
"""Before what has gone wrong, in Ray's words."""


@contextlib.contextmanager
def reach(cluster: str, *, insecure: bool = False) -> Iterator[JobServer]:
    """The job server of a cluster for as long as the context lasts.

    Args:
        cluster: a cluster file of Ray's, or the address of a job server.
        insecure: use one that lets in whoever reaches it.

    Raises:
        ClusterError: it cannot be reached, or must not be used.
    """
    path = Path(cluster).expanduser()
    if path.suffix not in {".yaml", ".yml"} and not path.is_file():
        yield connect(cluster, cluster, insecure=insecure)
        return
    if not path.is_file():
        raise ClusterError(f"--cluster {cluster}: no such file")
    with _tunnel(path) as address:
        yield connect(cluster, address, insecure=insecure)


@contextlib.contextmanager
def _tunnel(path: Path) -> Iterator[str]:
    """The address at which Ray forwards the job server of a cluster file to this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "dashboard", str(path)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            end = time.monotonic() + OPEN_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > end:
                    said.seek(0)
                    reason = last_line(said.read()).removeprefix(SAID)
                    raise ClusterError(
                        f"--cluster {path}: no tunnel to its head could be opened ({reason}); look"
                        f" at: ray dashboard {path}"
                    )
                time.sleep(0.2)
            yield f"127.0.0.1:{port}"
        finally:
            _end(process)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _end(process: subprocess.Popen[str]) -> None:
    """Ends Ray's command and the ssh that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
    process.terminate()
    try:
        process.wait(CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
