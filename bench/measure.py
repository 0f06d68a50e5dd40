"""What is measured of a model: answers, parameters, latency, memory, and the machine it ran on."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import nn

from bench.clock import Stopwatch
from bench.record import Environment, Latency
from bench.tokens import Batch, TokenSplit, collate
from bench.train import autocast

WARM_UPS = 3
PACKAGES = (
    "torch", "transformers", "tokenizers", "datasets", "ray", "optuna", "numpy", "safetensors"
)  # fmt: skip


def predict(
    model: nn.Module, batches: Iterable[Batch], *, device: torch.device, precision: str
) -> npt.NDArray[np.int64]:
    """The choice with the highest logit, per question in the order of the split.

    Args:
        model: gives logits ``(questions, choices)``.
        batches: a whole split.
        device: of the model.
        precision: ``fp32`` or ``bf16``.
    """
    model.eval()
    rows, answers = [], []
    with torch.inference_mode(), autocast(device, precision):
        for batch in batches:
            answers.append(model(batch.to(device)).argmax(1))
            rows.append(batch.rows)
    order = torch.cat(rows).numpy()
    predictions = np.empty(len(order), dtype=np.int64)
    predictions[order] = torch.cat(answers).cpu().numpy()
    return predictions


def accuracy(predictions: npt.NDArray[np.int64], split: TokenSplit) -> float:
    """Share of questions answered right, 0 … 1."""
    return float((predictions == split.answers).mean())


def latency(  # noqa: PLR0913 - a measurement has that many conditions
    model: nn.Module,
    split: TokenSplit,
    *,
    batch_size: int,
    repeats: int,
    device: torch.device,
    precision: str,
    stopwatch: Stopwatch,
) -> Latency:
    """Milliseconds per question of single forward passes over different questions.

    Args:
        model: in the form to be timed.
        split: questions are taken from it evenly.
        batch_size: questions per pass.
        repeats: passes that are timed, after a few that are not.
        device: of the model.
        precision: ``fp32`` or ``bf16``.
        stopwatch: the clock.
    """
    model.eval()
    size = min(batch_size, split.questions)
    passes = WARM_UPS + repeats
    starts = np.linspace(0, split.questions - size, passes).astype(np.int32)
    batches = [collate(split, np.arange(s, s + size, dtype=np.int32)).to(device) for s in starts]
    with torch.inference_mode(), autocast(device, precision):
        seconds = [stopwatch.time(partial(model, batch)) for batch in batches]
    per_question = np.array(seconds[WARM_UPS:]) * 1000 / size
    low, median, high, p95 = np.percentile(per_question, [25, 50, 75, 95])
    return Latency(
        batch_size=size,
        repeats=repeats,
        p50=float(median),
        p95=float(p95),
        iqr=float(high - low),
    )


def count(tensors: Iterable[torch.Tensor]) -> int:
    """How many numbers."""
    return sum(tensor.numel() for tensor in tensors)


def trained_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """What training changes, by name: parameters with ``requires_grad``."""
    return {
        name: parameter.detach()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def load_trained(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts trained tensors back into a model that was adapted the same way.

    Raises:
        ValueError: the names or shapes are not those of the model's trained tensors.
    """
    own = trained_tensors(model)
    wrong = sorted(
        name
        for name in own.keys() | tensors.keys()
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape
    )
    if wrong:
        raise ValueError(f"trained tensors do not fit the model: {', '.join(wrong[:5])}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


class PeakMemory:
    """Largest memory use since it was made.

    On an accelerator the allocator's own peak; else how far the resident memory of the process
    rose, from the kernel's high-water mark, which is reset first.

    Args:
        device: where the model computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        _give_back_free_memory()
        self._start = psutil.Process().memory_info().rss
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            self._start = -1

    @property
    def peak_bytes(self) -> int | None:
        """Bytes, or ``None`` where the system cannot tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        if self._start < 0:
            return None
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return max(0, int(line.split()[1]) * 1024 - self._start)
        return None


def _give_back_free_memory() -> None:
    """Returns what earlier trials have freed to the system, or it would hide in the start."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)


def environment(device: torch.device, precision: str, attention: str) -> Environment:
    """Where this process computes."""
    cuda = device.type == "cuda"
    return Environment(
        device=torch.cuda.get_device_name(device) if cuda else _processor(),
        precision=precision,
        threads=torch.get_num_threads(),
        attention=attention,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages={name: version(name) for name in PACKAGES},
    )


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
