"""Start or join Ray, and work out how many trials it can run at a time."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray

from bench.errors import StudyError
from bench.search import TOKEN

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The monitor kills a worker in a way that ends the whole run, not the one trial.
    "RAY_memory_monitor_refresh_ms": "0",
    # Our ledger is the record: Tune's own result files and states would be a second one.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Progress bars of workers would run into the terminal's own view.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


JOIN = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False)"
JOIN_SECONDS = 60

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one trial is given, as asked; ``None`` means the default.

    Attributes:
        address: of an existing cluster; ``None`` starts Ray on this machine.
        cpus: cores per trial.
        gpus: accelerators per trial, fractions allowed.
        workers: most trials at a time.
        insecure: join a cluster that lets in whoever reaches it.
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    workers: int | None = None
    insecure: bool = False


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Where trials run.

    Attributes:
        cpus: cores per trial.
        gpus: accelerators per trial.
        count: trials at a time.
        device_shared: whether a trial may meet another on its device.
        memory: bytes for each trial at a time, where every node shares out what Ray found on it.
        nodes: what Ray found on each.
    """

    cpus: float
    gpus: float
    count: int
    device_shared: bool
    memory: int | None = None
    nodes: tuple[Mapping[str, float], ...] = ()

    @property
    def resources(self) -> dict[str, float]:
        """As Ray wants them."""
        return {"CPU": self.cpus, "GPU": self.gpus} if self.gpus else {"CPU": self.cpus}

    @property
    def alone(self) -> Slots:
        """The same machines where every trial has a device to itself: whole GPUs, or a machine.

        A trial is given so many cores that no machine has room for a second one.
        """
        gpus = float(math.ceil(self.gpus))
        cores = [node.get("CPU", 0.0) for node in self.nodes]
        whole = min((count for count in cores if count > max(cores) / 2), default=self.cpus)
        cpus = self.cpus if gpus else whole
        per_node = [_fit(node, cpus, gpus) for node in self.nodes]
        count = min(max(1, sum(per_node)), self.count)
        return Slots(
            cpus=cpus,
            gpus=gpus,
            count=count,
            device_shared=False,
            memory=_memory(self.nodes, per_node, count),
            nodes=self.nodes,
        )


@contextlib.contextmanager
def cluster(demand: Demand) -> Iterator[Slots]:
    """Ray for as long as the context lasts.

    Raises:
        StudyError: no node has what a trial asks for, the address does not answer, or anyone who
            reaches it may run code there.
    """
    if demand.address and demand.address.startswith("ray://"):
        raise StudyError(
            f"--address {demand.address}: runs through the Ray client are not possible; run the"
            " command on a machine of the cluster with --address auto, or name HOST:6379"
        )
    if demand.address:
        _check_protected(demand, demand.address)
    os.environ.update({name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()})
    had_token = TOKEN.exists()
    try:
        ray.init(
            address=demand.address or "local",
            include_dashboard=None if demand.address else False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            runtime_env={"env_vars": ENVIRONMENT} if demand.address else None,
        )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.AuthenticationError) as error:
        ray.shutdown()
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = f"--address {demand.address}" if demand.address else "Ray does not start here"
        raise StudyError(f"{where}: {reason}") from error
    if not had_token and TOKEN.exists():  # Ray makes one for a new cluster, for all to read
        TOKEN.chmod(0o600)
    try:
        if demand.address and ":" not in demand.address:  # only now it is known where that is
            _check_protected(demand, ray.get_runtime_context().gcs_address)
        with _terminated_as_interrupted():
            yield slots(demand, [node["Resources"] for node in ray.nodes() if node["Alive"]])
    finally:
        ray.shutdown()


def _check_protected(demand: Demand, address: str) -> None:
    """Refuses a cluster of other machines that runs what anyone sends it.

    Args:
        demand: may allow it.
        address: as asked, which may be no more than ``auto``, or as found.
    """
    host = address.rpartition(":")[0].strip("[]")
    if not host or host in LOCAL or demand.insecure:
        return
    check_token_file()
    if not _has_token() or _lets_anyone_in(address):
        raise StudyError(
            f"--address {address}: whoever reaches that cluster may run code on it, as it asks for"
            " no token; start it with RAY_AUTH_MODE=token and a token from `ray get-auth-token"
            " --generate` on every machine, export RAY_AUTH_MODE=token here, or take the risk with"
            " --insecure-cluster"
        )


def token_file() -> Path:
    """Where the token of this process is, if it has one."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN))


def check_token_file() -> None:
    """Makes sure that nobody else reads the token that this process shows.

    Raises:
        StudyError: its file is open to others.
    """
    token = token_file()
    if _has_token() and token.exists() and token.stat().st_mode & 0o077:
        raise StudyError(f"{token}: can be read by others; run: chmod 600 {token}")


def _has_token() -> bool:
    """Whether this process shows a token to clusters."""
    return os.environ.get("RAY_AUTH_MODE") == "token"


def _lets_anyone_in(address: str) -> bool:
    """Whether a process that shows no token can join a cluster, which takes seconds to try."""
    try:
        joined = subprocess.run(
            [sys.executable, "-c", JOIN, address],
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            capture_output=True,
            timeout=JOIN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return joined.returncode == 0


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Whoever ends the process, as batch systems do when its time is up, still gets a report.

    A shell that starts it in the background may have it ignore interrupts, and Ray starts its jobs
    with interrupts blocked; neither may hold back ours.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    interrupts = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        signal.signal(signal.SIGINT, interrupts or signal.default_int_handler)


def slots(demand: Demand, nodes: list[dict[str, float]]) -> Slots:
    """How many trials fit on the nodes at a time.

    Default: one accelerator per trial where there is any, else one core.

    Raises:
        StudyError: no node is large enough.
    """
    has_gpus = any(node.get("GPU", 0) for node in nodes)
    gpus = demand.gpus if demand.gpus is not None else float(has_gpus)
    cpus = demand.cpus if demand.cpus is not None else 1.0
    per_node = [_fit(node, cpus, gpus) for node in nodes]
    if not sum(per_node):
        most = {
            kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")
        }
        raise StudyError(
            f"a trial asks for {cpus:g} CPUs and {gpus:g} GPUs, but the largest node has"
            f" {most['CPU']:g} CPUs and {most['GPU']:g} GPUs;"
            " lower --cpus-per-trial or --gpus-per-trial"
        )
    count = min(sum(per_node), demand.workers or sum(per_node))
    shared = gpus % 1 > 0 if gpus else max(per_node) > 1
    return Slots(
        cpus=cpus,
        gpus=gpus,
        count=count,
        device_shared=shared and count > 1,
        memory=_memory(nodes, per_node, count),
        nodes=tuple(nodes),
    )


def _memory(nodes: Sequence[Mapping[str, float]], per_node: list[int], count: int) -> int | None:
    """What a trial may use, if the node where it finds least has as many as fit."""
    shares = [
        node["memory"] / min(fit, count)
        for node, fit in zip(nodes, per_node, strict=True)
        if fit and "memory" in node
    ]
    return int(min(shares)) if shares else None


def _fit(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    room = [node.get(kind, 0) / asked for kind, asked in (("CPU", cpus), ("GPU", gpus)) if asked]
    return int(min(room) + 1e-9) if room else 0
