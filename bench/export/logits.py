"""Logits of a whole split, by whatever model answers a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.data.batches import BatchStore
from bench.data.tokens import Integers
from bench.training.loop import autocast
from bench.training.speed.cpu import kernels
from bench.training.worker_state import EVALUATION_BATCH

Tell = Callable[[int], object]
"""Told of so many more examples that have been answered."""


def _silent(_: int) -> None:
    pass


def logits_of(
    model: nn.Module, store: BatchStore, device: torch.device, tell: Tell = _silent
) -> npt.NDArray[np.float32]:
    """Logits ``(examples, answers)`` in float32; ``-inf`` where there is no such answer.

    Args:
        model: called with a batch; on the device.
        store: the examples.
        device: of the model.
        tell: see ``Tell``.
    """
    parts: list[tuple[Integers, npt.NDArray[np.float32]]] = []
    model.eval()
    with torch.inference_mode(), autocast(device, "fp32"), kernels(device):
        for batch in store.shortest_first(EVALUATION_BATCH[device.type]):
            parts.append((batch.rows.numpy(), model(batch).float().cpu().numpy()))
            tell(len(batch.rows))
    answers = max(logits.shape[1] for _, logits in parts)
    found = np.full((store.split.examples, answers), -np.inf, dtype=np.float32)
    for rows, logits in parts:
        found[rows, : logits.shape[1]] = logits
    return found


def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Softmax over the answers of each example, ``(examples, answers)``."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
