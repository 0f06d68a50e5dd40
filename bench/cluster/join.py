"""Start or join Ray, and find where trials can run on it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import ray

from bench.cluster import token
from bench.cluster.nodes import Fleet, limits
from bench.cluster.slots import Slots, slots
from bench.errors import ClusterError
from bench.study.run_options import RunOptions

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
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    # A server that does not answer is given up soon.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


JOIN = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False)"
JOIN_SECONDS = 60

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@contextlib.contextmanager
def cluster(options: RunOptions) -> Iterator[Slots]:
    """Ray for as long as the context lasts.

    Raises:
        StudyError: no node has what a trial asks for.
        ClusterError: as ``joined``.
    """
    with joined(options):
        yield _found(options)


@contextlib.contextmanager
def joined(options: RunOptions) -> Iterator[None]:
    """Ray for as long as the context lasts, whatever its nodes have.

    Raises:
        ClusterError: the address does not answer or runs other versions, or anyone who reaches it
            may run code there.
    """
    if options.address and options.address.startswith("ray://"):
        raise ClusterError(
            f"--address {options.address}: runs through the Ray client are not possible; run the"
            " command on a machine of the cluster with --address auto, or name HOST:6379"
        )
    if options.address:
        _check_protected(options, options.address)
    os.environ.update({name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()})
    had_token = token.PATH.exists()
    try:
        ray.init(
            address=options.address or "local",
            include_dashboard=None if options.address else False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            runtime_env={"env_vars": ENVIRONMENT} if options.address else None,
        )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.AuthenticationError) as error:
        ray.shutdown()
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = mismatch(str(error)) or first
        where = f"--address {options.address}" if options.address else "Ray does not start here"
        raise ClusterError(f"{where}: {reason}") from error
    if not had_token and token.PATH.exists():  # Ray makes one for a new cluster, for all to read
        token.PATH.chmod(0o600)
    try:
        if options.address and ":" not in options.address:  # only now it is known where that is
            _check_protected(options, ray.get_runtime_context().gcs_address)
        with _terminated_as_interrupted():
            yield
    finally:
        ray.shutdown()


def _found(options: RunOptions) -> Slots:
    """Where trials run on the Ray that was started or joined; the latter is looked at again."""
    if not options.address:
        return slots(options, Fleet().nodes)
    fleet = Fleet(limits=limits())
    return replace(slots(options, fleet.nodes), look=lambda: fleet.nodes)


def _check_protected(options: RunOptions, address: str) -> None:
    """Refuses a cluster of other machines that runs what anyone sends it.

    Args:
        options: may allow it.
        address: as asked, which may be no more than ``auto``, or as found.
    """
    host = address.rpartition(":")[0].strip("[]")
    if not host or host in LOCAL or options.insecure_cluster:
        return
    token.check_file()
    if not token.is_shown() or _lets_anyone_in(address):
        raise ClusterError(
            f"--address {address}: whoever reaches that cluster may run code on it, as it asks for"
            " no token; start it with RAY_AUTH_MODE=token and a token from `ray get-auth-token"
            " --generate` on every machine, export RAY_AUTH_MODE=token here, or take the risk with"
            " --insecure-cluster"
        )


def mismatch(text: str) -> str | None:
    """What is wrong where Ray says that versions do not match; ``None`` if it says another thing.

    Ray compares them when a process or a node joins, and lets neither in.
    """
    if "Version mismatch" not in text:
        return None
    rays, pythons = re.findall(r"Ray: (\S+)", text), re.findall(r"Python: (\S+)", text)
    if len(rays) != 2 or len(pythons) != 2:
        return None
    return (
        f"the cluster runs Ray {rays[0]} on Python {pythons[0]}, this machine Ray {rays[1]} on"
        f" Python {pythons[1]}; use the same Python here, and pip install 'ray=={rays[0]}', or"
        " start the cluster with the versions of this machine"
    )


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
