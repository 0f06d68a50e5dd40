"""Leave out what nothing reads: behind its attention, the last block serves the first token alone.

Where the head reads the state of the first token, no other state is looked at once the last
attention has mixed them. The rest of that block, three quarters of its products, is then computed
for the first token and for what a strategy has put before the text: in a backbone of six blocks
that is an eighth of all products.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from bench.anatomy import attention_output, blocks, shares_blocks, skeleton, width


class LeadingTokens:
    """Cuts what goes into the module behind the last attention down to the leading tokens.

    That module adds what attention gives to what attention was given. A family whose blocks have
    none, or share a block among layers, and a strategy that puts another in its place, are computed
    whole.

    Args:
        adapted: what a strategy made of a backbone.
    """

    def __init__(self, adapted: nn.Module) -> None:
        self._reading = False
        self._text: int | None = None
        self._kept: int | None = None
        module = _behind_last_attention(adapted)
        self._hook: RemovableHandle | None = None
        if module is not None:
            self._hook = module.register_forward_pre_hook(self._cut)

    @contextlib.contextmanager
    def of(self, text: int) -> Iterator[None]:
        """While the context lasts, the model reads texts of so many tokens, padding included.

        What stands before the text is counted when it first reads. It is the same for all texts,
        and a compiled model must not ask for the length of each.
        """
        before, self._reading = self._reading, True
        if self._kept is None:
            self._text = text
        try:
            yield
        finally:
            self._reading = before

    def again(self) -> contextlib.AbstractContextManager[None]:
        """The context there is now, to be entered later."""
        return self.of(self._text or 0) if self._reading else contextlib.nullcontext()

    def remove(self) -> None:
        """Lets the model compute whole again."""
        if self._hook is not None:
            self._hook.remove()

    def _cut(self, module: nn.Module, given: tuple[object, ...]) -> tuple[Tensor, ...] | None:
        states = [each for each in given if isinstance(each, Tensor)]
        if not self._reading or not len(given) == len(states) == 2:
            return None
        if states[0].shape != states[1].shape:
            return None
        if self._kept is None:
            assert self._text is not None
            self._kept = states[0].shape[1] - self._text + 1
        return tuple(each[:, : self._kept] for each in states)


def _behind_last_attention(adapted: nn.Module) -> nn.Module | None:
    backbone = next((m for m in adapted.modules() if isinstance(m, PreTrainedModel)), None)
    if backbone is None:
        return None
    plain = skeleton(backbone.config)
    layers = blocks(plain)
    if not layers or shares_blocks(plain):
        return None
    name, block = list(layers.items())[-1]
    output = attention_output(block, width(backbone.config))
    if output is None or "." not in output:
        return None
    try:
        return backbone.get_submodule(f"{name}.{output.rpartition('.')[0]}")
    except AttributeError:
        return None
