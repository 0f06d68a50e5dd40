"""What is measured of a model: answers, parameters, latency, memory, and the machine it ran on."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.data.tokens import Integers
from bench.metrics import Outcome
from bench.records.trial_record import CONFIDENCE_STEPS, Environment, Latency, packed
from bench.task import Batch
from bench.training.loop import autocast
from bench.training.speed.cpu import kernels


def _nothing() -> None:
    """What a device without a queue has to wait for."""


class Stopwatch:
    """Sums the seconds of named spans; a span may be entered many times.

    Args:
        synchronise: waits until the device has finished what it was given, called at both ends
            of a span, so that queued work is counted where it was asked for
            (``torch.cuda.synchronize`` on a GPU, nothing on a CPU).
        now: the counter, in seconds; ``time.perf_counter`` never runs backwards.
    """

    def __init__(
        self,
        synchronise: Callable[[], object] = _nothing,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._synchronise = synchronise
        self._now = now
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per span name, summed so far."""
        return dict(self._seconds)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Adds the time between entering and leaving to ``name``, also when an error leaves it."""
        self._synchronise()
        start = self._now()
        try:
            yield
        finally:
            self._synchronise()
            self._seconds[name] += self._now() - start

    def time(self, function: Callable[[], object]) -> float:
        """Seconds of one call, outside all spans."""
        self._synchronise()
        start = self._now()
        function()
        self._synchronise()
        return self._now() - start


WARM_UPS = 3
PACKAGES = (
    "torch", "transformers", "tokenizers", "datasets", "ray", "optuna", "numpy", "safetensors"
)  # fmt: skip
EXTRAS = ("peft",)
"""Packages that trials may pass through and that need not be there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a model answers, per example in the order of the split.

    Attributes:
        given: the answer with the highest logit.
        confidences: its probability, the softmax of the logits, 0 … 1.
    """

    given: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]

    def outcome(self, right: Integers) -> Outcome:
        """How that compares with the right answers."""
        return Outcome.of(self.given, right, self.confidences)

    @property
    def packed(self) -> str:
        """The confidences as records hold them."""
        return packed(self.confidences.tolist())


def predict(
    model: nn.Module, batches: Iterable[Batch], *, device: torch.device, precision: str
) -> Answers:
    """What a model answers.

    Args:
        model: gives logits ``(examples, answers)``.
        batches: a whole split, on the model's device.
        device: of the model.
        precision: ``fp32`` or ``bf16``.
    """
    model.eval()
    rows, answers, probabilities = [], [], []
    with torch.inference_mode(), autocast(device, precision), kernels(device):
        for batch in batches:
            logits = model(batch)
            answers.append(logits.argmax(1))
            probabilities.append(logits.float().softmax(1).amax(1))
            rows.append(batch.rows)
    order = torch.cat(rows).numpy()
    given, confidences = np.empty(len(order), dtype=np.int64), np.empty(len(order))
    given[order] = torch.cat(answers).cpu().numpy()
    confidences[order] = torch.cat(probabilities).cpu().numpy()
    known = np.nan_to_num(confidences)  # of a model that has diverged
    return Answers(given=given, confidences=np.round(known * CONFIDENCE_STEPS) / CONFIDENCE_STEPS)


def pass_seconds(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: str,
    stopwatch: Stopwatch,
) -> list[float]:
    """Seconds of the forward pass over each batch, after those that do not count.

    Args:
        model: in the form to be timed.
        batches: one or more, on its device.
        device: of the model.
        precision: ``fp32`` or ``bf16``.
        stopwatch: the clock.
    """
    model.eval()
    passes = list(batches)
    with torch.inference_mode(), autocast(device, precision), kernels(device):
        seconds = [stopwatch.time(partial(model, batch)) for batch in (*warm_ups(passes), *passes)]
    return seconds[WARM_UPS:]


def warm_ups(batches: Sequence[Batch]) -> list[Batch]:
    """The batches that are computed before any is timed, from the first to the last of those."""
    places = np.linspace(0, len(batches) - 1, WARM_UPS).round().astype(int)
    return [batches[place] for place in places]


def latency(seconds: Sequence[float], examples: Sequence[int]) -> Latency:
    """Milliseconds per example.

    Args:
        seconds: of each pass.
        examples: in each pass.
    """
    per_example = np.array(seconds) * 1000 / np.array(examples)
    low, median, high, p95 = np.percentile(per_example, [25, 50, 75, 95])
    return Latency(
        batch_size=max(examples),
        repeats=len(seconds),
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
    """Largest memory use since it was made, on top of what was in use then.

    On an accelerator the allocator's own peak. On a CPU what glibc has handed out, looked at
    after forward passes in training, when all activations are alive; the resident size of the
    process would also hold what earlier trials have given back to the allocator. glibc goes
    through every free piece of memory to tell, which takes as long as a question by itself once
    a worker has run some trials: so only a batch larger than those before it is looked at. The
    first does not count among those, since the optimizer takes its memory at its first step. Where
    blocks are computed again for their gradients, the activations of one are alive then: it is
    looked at these moments too.

    Args:
        device: where the model computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._largest: int | None = None
        self._looking = False
        self._start = self._peak = _bytes_in_use()

    def watch(self, model: nn.Module) -> None:
        """Looks when the model, which is called with a batch, has computed a large one."""
        if self._device.type != "cuda":
            model.register_forward_hook(self._look)

    def _look(self, model: nn.Module, given: tuple[Batch], _: object) -> None:
        tokens = given[0].padded_tokens
        self._looking = model.training and tokens > (self._largest or 0)
        if self._looking:
            self._largest = 0 if self._largest is None else tokens
            self._note()

    def look_again(self) -> None:
        """Looks once more, if it did during the forward pass: activations have been made again."""
        if self._looking:
            self._note()

    def _note(self) -> None:
        now = _bytes_in_use()
        if now is not None and self._peak is not None:
            self._peak = max(self._peak, now)

    @property
    def peak_bytes(self) -> int | None:
        """Bytes, or ``None`` where the system cannot tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        if self._peak is None or self._start is None:
            return None
        return self._peak - self._start


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


@cache
def _mallinfo() -> Callable[[], _MallocInfo] | None:
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)  # a C library other than glibc
    if function is not None:
        function.restype = _MallocInfo
    return function


def _bytes_in_use() -> int | None:
    mallinfo = _mallinfo()
    if mallinfo is None:
        return None
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)


def environment(
    device: torch.device, precision: str, attention: str, *, compiled: bool = False
) -> Environment:
    """Where this process computes."""
    return Environment(
        device=device_name(device),
        precision=precision,
        threads=torch.get_num_threads(),
        attention=attention,
        compiled=compiled,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages=_versions(),
    )


@cache
def _versions() -> dict[str, str]:
    found = {name: version(name) for name in PACKAGES}
    for name in EXTRAS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def device_name(device: torch.device) -> str:
    """Name of the accelerator, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
