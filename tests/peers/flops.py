"""How many operations a training step needs, and how many this processor can do.

Counted are the matrix products of forward and backward pass as autograd runs them on the plain
model, by ``torch.utils.flop_counter``: per layer 2 operations per weight and token forward, 2 for
the gradient of the activations where something below learns, 2 for that of the weights where they
learn, and the two products of attention likewise. What the head does not read is left out as it is
in training. The count of one sequence is a quadratic function of its tokens, found from three
lengths.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PretrainedConfig

from bench.strategy import Strategy
from bench.task import Batch
from tests.peers import ours_inside

PROBES = (8, 24, 40)
LARGE = 1024
PEAK_SECONDS = 0.25


class Flops:
    """Operations of one forward and backward pass of a strategy on the bundled model."""

    def __init__(self, strategy: Strategy, batch: Batch) -> None:
        torch.manual_seed(0)
        adapted = strategy.adapt(ours_inside.source().backbone())
        self._model = ours_inside.model(adapted, "fp32", batch)
        counted = [self._count(tokens) for tokens in PROBES]
        self._quadratic = np.polynomial.Polynomial.fit(PROBES, counted, deg=2)

    def real(self, batches: list[Batch]) -> float:
        """Of the sequences as they are."""
        return sum(self._of(tokens) for tokens, _ in map(ours_inside.lengths, batches))

    def padded(self, batches: list[Batch]) -> float:
        """Of the sequences with their padding."""
        padded = ([longest] * len(tokens) for tokens, longest in map(ours_inside.lengths, batches))
        return sum(map(self._of, padded))

    def _of(self, lengths: list[int]) -> float:
        return float(self._quadratic(np.asarray(lengths, dtype=float)).sum())

    def _count(self, tokens: int) -> int:
        """Of one sequence; the head is a vector of weights, so its share is left out."""
        words = torch.randint(1000, 2000, (1, tokens))
        inputs = {"input_ids": words, "attention_mask": torch.ones_like(words)}
        # Attention in its products, since a fused kernel is one operation the counter cannot see.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            vectors = self._model.read(inputs)
            if vectors.requires_grad:
                vectors.sum().backward()
        return int(counter.get_total_flops())


def gemm_peak(tokens: list[int], config: PretrainedConfig, precision: str) -> dict[str, float]:
    """The best of several matrix products, the model's own among them, in operations per second.

    Args:
        tokens: numbers of tokens to try, such as those of a batch.
        config: of the model.
        precision: ``fp32`` or ``bf16``.
    """
    width, inner = config.hidden_size, config.intermediate_size
    shapes = [(LARGE, LARGE, LARGE), (2 * LARGE, 2 * LARGE, 2 * LARGE)]
    shapes += [(n, *pair) for n in tokens for pair in ((width, width), (width, inner))]
    shapes += [(n, inner, width) for n in tokens]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    speeds = {" × ".join(map(str, shape)): _speed(shape, kind) for shape in shapes}
    best = max(speeds, key=lambda name: speeds[name])
    return {"best": speeds[best], "own": max(list(speeds.values())[2:])}


def _speed(shape: tuple[int, int, int], kind: torch.dtype) -> float:
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner).to(kind), torch.randn(columns, inner).to(kind)
    best, spent = float("inf"), 0.0
    while spent < PEAK_SECONDS:
        start = time.perf_counter()
        F.linear(left, right)
        taken = time.perf_counter() - start
        best, spent = min(best, taken), spent + taken
    return 2.0 * rows * inner * columns / best
