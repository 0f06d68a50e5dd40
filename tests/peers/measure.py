"""Run a command to its end: wall time, and the memory of its process and of Ray's workers."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from tests.peers.settings import ROOT

SAMPLE_SECONDS = 1.0
PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "datasets", "ray", "optuna", "numpy"
)  # fmt: skip
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
"""The same for every system: none of them may wait for a network."""


class CommandFailed(Exception):
    """A command of the benchmark did not end with 0."""


@dataclass(kw_only=True)
class Memory:
    """Bytes, the largest seen of one process.

    Attributes:
        rss: resident, shared pages of libraries and of Ray's object store included; the kernel's
            own high-water mark.
        pss: the same with every shared page divided by the processes that share it.
        uss: pages of that process alone.
    """

    rss: int = 0
    pss: int = 0
    uss: int = 0


@dataclass(kw_only=True)
class Finished:
    """A command that has ended.

    Attributes:
        seconds: from start to end of the process.
        worker: largest memory of a Ray worker that ran trials.
        driver: resident bytes of the command's own process, with the progress at that time.
        busy: seconds of computing of that process, likewise.
    """

    seconds: float = 0.0
    worker: Memory = field(default_factory=Memory)
    driver: list[tuple[int, int]] = field(default_factory=list)
    busy: list[tuple[int, float]] = field(default_factory=list)


def run(
    command: Sequence[str],
    log: Path,
    *,
    extra: Mapping[str, str] | None = None,
    progress: Callable[[], int] = lambda: 0,
) -> Finished:
    """Runs a command in the repository and watches it.

    Args:
        command: program and arguments.
        log: gets its output.
        extra: environment variables besides ours.
        progress: a number that is noted with the driver's memory.

    Raises:
        CommandFailed: with the end of its output.
    """
    finished = Finished()
    environment = {**os.environ, **QUIET, **(extra or {})}
    with log.open("w", encoding="utf-8") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while _still_runs(process):
                _sample(psutil.Process(process.pid), finished, progress)
        finally:
            process.terminate()
        finished.seconds = time.perf_counter() - start
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
        raise CommandFailed("\n".join([f"exit code {process.returncode}: {log.name}", *lines]))
    return finished


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(SAMPLE_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _sample(driver: psutil.Process, finished: Finished, progress: Callable[[], int]) -> None:
    with contextlib.suppress(psutil.Error):
        done, times = progress(), driver.cpu_times()
        finished.driver.append((done, driver.memory_info().rss))
        finished.busy.append((done, times.user + times.system))
        for child in driver.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                _note(child, finished.worker)


def _note(process: psutil.Process, largest: Memory) -> None:
    """Ray names a worker after what it runs: ``ray::Class.method``, ``ray::IDLE`` for nothing."""
    name = " ".join(process.cmdline())
    if not name.startswith("ray::") or name.startswith("ray::IDLE"):
        return
    memory = process.memory_full_info()
    largest.rss = max(largest.rss, memory.rss, _high_water(process.pid))
    largest.pss = max(largest.pss, getattr(memory, "pss", 0))
    largest.uss = max(largest.uss, memory.uss)


def _high_water(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def machine() -> dict[str, Any]:
    """What was measured on: hardware and versions, no names of hosts, people or folders."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    kind = ", ".join(
        f"{key} {fields[key].strip()}" for key in ("cpu family", "model") if key in fields
    )
    wide = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in fields.get("flags", "")]
    return f"{fields.get('model name', platform.machine()).strip()} ({'; '.join([kind, *wide])})"


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
