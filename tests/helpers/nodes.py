"""A Ray cluster of several nodes on this machine, as `ray start` makes them, with token and jobs.

The head is 127.0.0.1, further nodes are 127.0.0.2, 127.0.0.3 …, each with processes of its own,
so that one can be killed as a machine is that loses its power.

    with Nodes(tmp_path) as nodes:      # a head without cores, and two nodes of one core each
        nodes.add("third", PYTHONPATH=...)
        nodes.kill("first")
        play.paretune("launch", "play.yaml", "--cluster", nodes.job_server, HOME=str(nodes.home))
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.helpers.harness import ROOT, children, until

RAY = (sys.executable, "-m", "ray.scripts.scripts")
HEAD = "head"


def free_port() -> int:
    """A port of the loopback that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Nodes:
    """The cluster; a context that ends it.

    Args:
        folder: for homes and logs.
        first: names of the nodes that are started with the head.
        environment: of every node, beside this process's.

    Attributes:
        address: of the cluster, HOST:PORT, as for ``--address``.
        job_server: address of the head's job server, http://HOST:PORT, as for ``--cluster``.
        home: a home folder with the token of the cluster: whoever runs commands has it as ``HOME``.
    """

    def __init__(
        self,
        folder: Path,
        first: tuple[str, ...] = ("first", "second"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = folder / "home"
        self.address = self.job_server = ""
        self._folder = folder
        self._first = first
        self._environment = dict(environment or {})
        self._nodes: dict[str, subprocess.Popen[str]] = {}
        self._added = 0
        self._temporary: list[str] = []

    def __enter__(self) -> Nodes:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Makes the token, and starts the head and the first nodes."""
        make_token(self.home)
        port, dashboard = free_port(), free_port()
        self._begin(
            HEAD,
            "127.0.0.1",
            *("--head", f"--port={port}", "--num-cpus=0"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *("--include-dashboard=true", f"--ray-client-server-port={free_port()}"),
        )
        self.address = f"127.0.0.1:{port}"
        self.job_server = f"http://127.0.0.1:{dashboard}"
        for name in self._first:
            self.add(name)

    def add(self, name: str, cpus: int = 1, **environment: str) -> None:
        """Starts a further node and waits until it has joined.

        Args:
            name: for ``kill`` and ``log``.
            cpus: its cores.
            **environment: of this node, beside the cluster's.
        """
        self._added += 1
        options = (f"--address={self.address}", f"--num-cpus={cpus}")
        self._begin(name, f"127.0.0.{self._added + 1}", *options, **environment)

    def kill(self, name: str) -> None:
        """Ends all processes of a node at once, without a word to the others."""
        node = self._nodes.pop(name)
        below = [node.pid, *children(node.pid)]
        for process in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        node.wait(60)

    def close(self) -> None:
        """Ends all nodes, the head last."""
        for name in reversed(tuple(self._nodes)):
            self.kill(name)
        for temporary in self._temporary:
            shutil.rmtree(temporary, ignore_errors=True)

    def log(self, name: str) -> str:
        """What the command that started a node has printed."""
        return (self._folder / f"{name}.txt").read_text(encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process that has the token and finds this source tree."""
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "HOME": str(self.home),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_health_check_period_ms": "500",
            **self._environment,
            **more,
        }

    def _begin(self, name: str, host: str, *options: str, **environment: str) -> None:
        temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # short, for the names of sockets
        self._temporary.append(temporary)
        command = (
            *(*RAY, "start", "--block", f"--node-ip-address={host}", f"--temp-dir={temporary}"),
            *("--dashboard-agent-listen-port=0", "--object-store-memory=100000000"),
            *("--disable-usage-stats", "--log-style=record", *options),
        )
        path = self._folder / f"{name}.txt"
        with path.open("w", encoding="utf-8") as log:
            node = self._nodes[name] = subprocess.Popen(
                command,
                env=self.environment(**environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        until(lambda: "Ray runtime started" in self.log(name) or node.poll() is not None, 120)
        assert node.poll() is None, self.log(name)


def make_token(home: Path) -> Path:
    """A home folder with a token of its own."""
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*RAY, "get-auth-token", "--generate"],
        env={**os.environ, "HOME": str(home)},
        umask=0o077,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return home
