"""torch.compile: forms of a function, made before any clock runs.

Sizes of batches are symbols from the start, so that one form serves batches of all widths. A form
is made anew for each trial, whose modules are its own, and torch forgets those of the trial before;
what its compiler has written to disk is found again. Nothing falls back to uncompiled code: a
failure of the compiler, or too many forms of one function, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.task import Batch, Inputs


def compiled(states: Callable[[Inputs], Tensor]) -> Callable[[Inputs], Tensor]:
    """A compiled form of what turns a batch's inputs into states, for batches of all sizes.

    Earlier forms of this process are forgotten.

    Args:
        states: a method of an adapted model.
    """
    torch.compiler.reset()
    config: Any = torch._dynamo.config
    config.fail_on_recompile_limit_hit = True
    form = torch.compile(states, dynamic=True)

    def run(inputs: Inputs) -> Tensor:
        # Kernels that take the place of torch's functions are not for its compiler to see through.
        with torch._C.DisableTorchFunction():
            return form(inputs)

    return run


def extremes(batches: Sequence[Batch]) -> list[Batch]:
    """Batches after which every other one is of a size that has been seen to vary.

    Returns:
        The widest, the narrowest, and those with most and fewest sequences, each once.
    """

    def tokens(batch: Batch) -> int:
        return batch.inputs["attention_mask"].shape[1]

    def sequences(batch: Batch) -> int:
        return len(batch.sequences)

    found = [
        max(batches, key=tokens),
        min(batches, key=tokens),
        max(batches, key=sequences),
        min(batches, key=sequences),
    ]
    return list({id(batch): batch for batch in found}.values())
