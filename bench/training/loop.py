"""One training loop for every strategy: AdamW, linear warm-up and decay, gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from bench.errors import TrialDiverged
from bench.records.spec import TrainSettings
from bench.task import Batch
from bench.training.model import TaskModel
from bench.training.speed.cpu import kernels


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The precision in which a model computes."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


class Training:
    """Optimizer and schedule of one model.

    Args:
        model: on its device.
        settings: see ``TrainSettings``.
        learning_rate: reached at the end of the warm-up.
        total_steps: optimizer steps of all epochs, at whose end the learning rate is 0.
        precision: ``fp32`` or ``bf16``.
        seed: of dropout.

    Attributes:
        micro_batch: most examples of a forward pass; fewer than a batch once memory was too
            short for one.
    """

    def __init__(
        self,
        model: TaskModel,
        settings: TrainSettings,
        *,
        learning_rate: float,
        total_steps: int,
        precision: str,
        seed: int,
    ) -> None:
        self._model = model
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._device = self._trained[0].device
        self._precision = precision
        self._clip_norm = settings.clip_norm
        self._kernels = kernels(self._device, seed)
        self._steps = 0
        self._splits = settings.micro_batch == "auto"
        self.micro_batch = settings.batch_size
        self._optimizer = torch.optim.AdamW(
            _groups(self._trained, settings.weight_decay), lr=learning_rate, fused=True
        )
        warmup = max(1, round(settings.warmup_ratio * total_steps))
        self._schedule = LambdaLR(
            self._optimizer, lambda step: _triangle(step, warmup=warmup, total=total_steps)
        )

    def epoch(self, batches: Iterable[Batch]) -> float:
        """Trains on every batch once.

        Args:
            batches: on the model's device.

        Returns:
            The mean loss over the batches.

        Raises:
            TrialDiverged: a loss or its gradient was not finite.
        """
        self._model.train()
        losses = torch.stack([self._step(batch) for batch in batches])
        finite = torch.isfinite(losses)
        if not finite.all():
            first = int((~finite).nonzero()[0])
            step = self._steps - len(losses) + first
            raise TrialDiverged(step, float(losses[first]))
        return float(losses.mean())

    def rehearse(self, batches: Iterable[Batch]) -> None:
        """Computes gradients as a training step does, and learns nothing from them."""
        self._model.train()
        for batch in batches:
            self._gradients(batch)
            self._optimizer.zero_grad(set_to_none=True)

    def _step(self, batch: Batch) -> torch.Tensor:
        """One optimizer step; the loss stays on the device, so that nothing waits for it."""
        loss = self._gradients(batch)
        norm = nn.utils.clip_grad_norm_(self._trained, self._clip_norm)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._steps += 1
        # Such a gradient spoils the weights, which no later loss tells if this step is the last.
        return torch.where(norm.isfinite(), loss, torch.nan)

    def _gradients(self, batch: Batch) -> torch.Tensor:
        """Adds up the gradients of a batch, in as large parts as memory allows; gives the loss."""
        while True:
            try:
                return self._added_up(batch)
            except (MemoryError, RuntimeError) as error:
                if not (self._splits and self.micro_batch > 1 and is_out_of_memory(error)):
                    raise
            # The error held on to what it had been computing; now it is gone.
            self._optimizer.zero_grad(set_to_none=True)
            self.micro_batch = -(-min(self.micro_batch, len(batch.rows)) // 2)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _added_up(self, batch: Batch) -> torch.Tensor:
        whole = len(batch.rows)
        total = torch.zeros((), device=self._device)
        for part in [batch] if whole <= self.micro_batch else batch.parts(self.micro_batch):
            with autocast(self._device, self._precision), self._kernels:
                logits = self._model(part)
            loss = self._model.task.loss(logits, part.answers) / whole
            loss.backward()
            total += loss.detach()
        return total


def is_out_of_memory(error: Exception) -> bool:
    """CUDA has a class of its own; the CPU allocator raises a RuntimeError that says so."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Decay for matrices, none for biases, norms and other vectors (Loshchilov & Hutter 2019)."""
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    groups: list[dict[str, object]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _triangle(step: int, *, warmup: int, total: int) -> float:
    """Factor of the learning rate: rises linearly over ``warmup`` steps, then falls to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))
