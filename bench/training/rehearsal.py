"""What a trial will take, in time and memory, from a few of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import psutil
import torch

from bench.data.batches import BatchStore
from bench.records.spec import TrialSpec
from bench.strategy import Strategy
from bench.task import Batch
from bench.training.loop import Training
from bench.training.measure import WARM_UPS, PeakMemory, Stopwatch, pass_seconds, predict
from bench.training.model import TaskModel
from bench.training.worker_state import Workbench, learns_inside

STEPS = 4
"""Training steps that are timed, after as many that are not."""

VECTOR_BYTES = 4
"""Of each number of a vector that a worker keeps."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Expected seconds and bytes.

    Attributes:
        step: of one training step; 0 where only the head learns.
        trial: of a whole trial, from adapting the model to timing its inference.
        once: of what the first trial of a worker does for all later ones of the arm.
        peak_bytes: see ``peak_bytes``; ``None`` where the system cannot tell.
    """

    step: float
    trial: float
    once: float
    peak_bytes: int | None = None


def rehearse(spec: TrialSpec, workbench: Workbench) -> Rehearsal:
    """Runs a few steps of a trial and works out the rest by the number of tokens.

    Batches are taken evenly from an epoch and from the sorted validation examples. Nothing is
    written.

    Args:
        spec: a trial.
        workbench: where it would run.

    Raises:
        TrialRefused: the strategy cannot adapt this backbone.
    """
    peak, clock = peak_bytes(spec, workbench), workbench.stopwatch()
    with clock.span("load"):
        model = workbench.adapted(spec)
    if spec.settings.compile:
        with clock.span("compile"):
            workbench.compile(spec, model, _learner(spec, model, workbench))
    epoch = list(workbench.epoch(spec, 0, None))
    validation = list(workbench.validation.shortest_first(workbench.evaluation_batch))
    reading = _reading(model, workbench, validation, clock)
    single = _single(model, workbench, clock)
    forms = 2 if type(spec.strategy).deploy is not Strategy.deploy else 1
    singles = single * (len(workbench.singles) + WARM_UPS) * forms
    batched = reading * _tokens(workbench.batched) / _tokens(validation)
    always = sum(clock.seconds.values()) + singles + batched
    if not learns_inside(model):
        all_read = reading * (1 + _tokens(epoch) / _tokens(validation))
        return Rehearsal(step=0.0, trial=always, once=all_read, peak_bytes=peak)
    training = _training(spec, model, workbench, epoch, clock)
    passes = spec.settings.epochs + (not spec.strategy.starts_unchanged)
    return Rehearsal(
        step=training / len(epoch),
        trial=always + spec.settings.epochs * training + passes * reading,
        once=0.0,
        peak_bytes=peak,
    )


def peak_bytes(spec: TrialSpec, workbench: Workbench) -> int | None:
    """Most memory that a trial takes: it learns from, then answers, the longest examples.

    On an accelerator, what a worker keeps there is added: as many batches as it may, and, where the
    backbone learns nothing, its vectors.

    Args:
        spec: a trial.
        workbench: where it would run.

    Raises:
        TrialRefused: the strategy cannot adapt this backbone.
    """
    device, memory = workbench.device, PeakMemory(workbench.device)
    model = workbench.adapted(spec)
    memory.watch(model)
    model.recomputed.append(memory.look_again)
    kept = workbench.train.kept_bytes(spec.settings.epochs) + workbench.validation.kept_bytes(1)
    if not learns_inside(model):
        sequences = workbench.train.split.sequences + workbench.validation.split.sequences
        kept += sequences * workbench.backbone.config.hidden_size * VECTOR_BYTES
    else:
        # The optimizer takes its memory at the end of the first step.
        _learner(spec, model, workbench).epoch(
            [_longest(workbench.train, spec.settings.batch_size)] * 2
        )
    answered = _longest(workbench.validation, workbench.evaluation_batch)
    predict(model, [_numbered(answered)], device=device, precision=workbench.precision)
    peak = memory.peak_bytes
    return peak + kept if peak is not None and device.type == "cuda" else peak


def device_memory(device: torch.device) -> tuple[int, int]:
    """Bytes of a device in all, and those in use on it that no tensor of this process holds.

    The latter are the driver's for a process, and whatever others hold there. On a CPU they are
    none, since workers share what they load.
    """
    if device.type != "cuda":
        return psutil.virtual_memory().total, 0
    free, total = torch.cuda.mem_get_info(device)
    return total, max(0, total - free - torch.cuda.memory_reserved(device))


def _longest(store: BatchStore, examples: int) -> Batch:
    """A batch of the examples with the most tokens."""
    rows = np.argsort(store.split.longest, kind="stable")[-examples:]
    return store.collate(np.sort(rows).astype(np.int32))


def _numbered(batch: Batch) -> Batch:
    """The same batch as if it were a whole split."""
    return replace(batch, rows=torch.arange(len(batch.rows)))


def _learner(spec: TrialSpec, model: TaskModel, workbench: Workbench) -> Training:
    return Training(
        model,
        spec.settings,
        learning_rate=spec.learning_rate,
        total_steps=2 * STEPS,
        precision=workbench.precision,
        seed=spec.seed,
    )


def _training(
    spec: TrialSpec,
    model: TaskModel,
    workbench: Workbench,
    epoch: Sequence[Batch],
    clock: Stopwatch,
) -> float:
    """Seconds of an epoch."""
    training = _learner(spec, model, workbench)
    timed = _spread(epoch, STEPS)
    training.epoch(timed)
    seconds = clock.time(lambda: training.epoch(timed))
    return seconds / _tokens(timed) * _tokens(epoch)


def _reading(
    model: TaskModel, workbench: Workbench, batches: Sequence[Batch], clock: Stopwatch
) -> float:
    """Seconds of a pass over the validation examples."""
    timed = _spread(batches, STEPS)
    return sum(_passes(model, workbench, timed, clock)) / _tokens(timed) * _tokens(batches)


def _single(model: TaskModel, workbench: Workbench, clock: Stopwatch) -> float:
    """Seconds of one example by itself."""
    seconds = _passes(model, workbench, workbench.singles[:STEPS], clock)
    return sum(seconds) / len(seconds)


def _passes(
    model: TaskModel, workbench: Workbench, batches: Sequence[Batch], clock: Stopwatch
) -> list[float]:
    return pass_seconds(
        model,
        batches,
        device=workbench.device,
        precision=workbench.precision,
        stopwatch=clock,
    )


def _spread(batches: Sequence[Batch], count: int) -> list[Batch]:
    """Some batches, evenly from the first to the last."""
    places = torch.linspace(0, len(batches) - 1, min(count, len(batches))).round().int().tolist()
    return [batches[place] for place in places]


def _tokens(batches: Sequence[Batch]) -> int:
    return sum(batch.padded_tokens for batch in batches)
