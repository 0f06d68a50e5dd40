"""Gradient checkpointing: a block keeps what went into it alone, and is computed again for slopes.

Chen et al. 2016 (https://arxiv.org/abs/1604.06174), in torch's form without re-entrant autograd:
what goes into a block need not ask for a gradient. What is computed again has to be what was
computed first: under the same kernels, with the same numbers dropped, and with as many tokens left
out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from bench.anatomy import skeleton

Again: TypeAlias = Callable[[], AbstractContextManager[object]]
"""Called as a block is computed: gives the context in which to compute it again."""


def cannot_checkpoint(config: PretrainedConfig) -> str | None:
    """Why the blocks of a model cannot be checkpointed, or ``None`` if they can."""
    model = skeleton(config)
    if model.supports_gradient_checkpointing:
        return None
    return f"transformers has no gradient checkpointing for {type(model).__name__}"


def checkpoint_blocks(
    adapted: nn.Module,
    again: Sequence[Again] = (),
    after: Sequence[Callable[[], object]] | None = None,
) -> None:
    """Checkpoints the blocks of a backbone while it trains.

    Args:
        adapted: what a strategy made of a backbone.
        again: what the recomputation needs.
        after: called when a block has been computed again and its activations are alive; ``None``
            for a model that will be compiled, whose compiler sees to both.

    Raises:
        ValueError: there is no backbone, or transformers cannot checkpoint it.
    """
    backbone = next((m for m in adapted.modules() if isinstance(m, PreTrainedModel)), None)
    if backbone is None:
        raise ValueError("gradient checkpointing needs a backbone of transformers")
    observers = () if after is None else after

    def contexts() -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        entered = [make() for make in again]
        return contextlib.nullcontext(), _recomputing(entered, observers)

    options: dict[str, object] = {"use_reentrant": False}
    if after is not None:
        options["context_fn"] = contexts
    backbone.activation_checkpointing_enable(options)
    # Made for the re-entrant form: frozen embeddings would ask for gradients that nothing uses.
    backbone.disable_input_require_grads()


@contextlib.contextmanager
def _recomputing(
    contexts: Sequence[AbstractContextManager[object]], after: Sequence[Callable[[], object]]
) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        try:
            yield
        finally:  # torch leaves by an exception when it has all it needs
            for look in after:
                look()
