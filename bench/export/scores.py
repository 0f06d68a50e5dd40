"""Logits of a whole split, by whatever model answers a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bench.batches import BatchStore
from bench.cpu import kernels
from bench.train import autocast
from bench.workbench import EVALUATION_BATCH

Tell = Callable[[int], object]
"""Told of so many more questions that have been answered."""


def _silent(_: int) -> None:
    pass


def logits_of(
    model: nn.Module, store: BatchStore, device: torch.device, tell: Tell = _silent
) -> npt.NDArray[np.float32]:
    """Logits ``(questions, widest)`` in float32; ``-inf`` where there is no choice.

    Args:
        model: called with a batch; on the device.
        store: the questions.
        device: of the model.
        tell: see ``Tell``.
    """
    split = store.split
    widest = int(np.diff(split.first).max())
    found = np.full((split.questions, widest), -np.inf, dtype=np.float32)
    model.eval()
    with torch.inference_mode(), autocast(device, "fp32"), kernels(device):
        for batch in store.shortest_first(EVALUATION_BATCH[device.type]):
            found[batch.rows.numpy(), : batch.widest] = model(batch).float().cpu().numpy()
            tell(len(batch.rows))
    return found


def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Softmax over the choices of each question, ``(questions, widest)``."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
