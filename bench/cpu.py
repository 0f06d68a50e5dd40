"""Dropout, attention and frozen layers for CPUs, where torch's own take longer than they need.

torch draws a dropout mask by one Bernoulli trial per number from a scalar generator, and falls
back to unfused attention as soon as attention drops anything; here a mask is cut from random 16-bit
words, and attention is our own. A bfloat16 product brings its weights into the order the processor
wants each time it is called; those of a layer that does not learn are brought into it once. States
that several layers read are rounded to bfloat16 once for all of them. Results differ from torch's
by rounding, and by which numbers are dropped.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from bench.attention import attend

WORD = 1 << 15
"""Probabilities are rounded to multiples of 1/32768."""

CAN_PACK = hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this build of torch has the operators for packed weights."""


class CpuKernels(TorchFunctionMode):
    """While active, calls of torch's dropout and attention on CPU tensors arrive here.

    Args:
        seed: of the dropout masks; ``None`` where nothing is dropped.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self._random = None if seed is None else np.random.Generator(np.random.SFC64(seed))
        self._masks: tuple[Tensor, Tensor] | None = None
        self._packed: dict[int, _Packed] = {}
        self._states: _Rounded | None = None

    def again(self) -> contextlib.AbstractContextManager[object]:
        """Itself, to be entered later and then to draw the masks it would draw now."""
        return self._from(None if self._random is None else self._random.bit_generator.state)

    @contextlib.contextmanager
    def _from(self, state: Mapping[str, Any] | None) -> Iterator[None]:
        if self._random is None or state is None:
            with self:
                yield
            return
        generator = self._random.bit_generator
        now, generator.state = generator.state, state
        try:
            with self:
                yield
        finally:
            generator.state = now

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Sends a call to the kernel that takes its place, if there is one."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func is F.linear:
            return self._linear(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training or p == 0.0:
            return input
        noise = self._noise(input.shape, p, input.dtype)
        return input.mul_(noise) if inplace else input * noise

    def _linear(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        weight: Tensor,
        bias: Tensor | None = None,
    ) -> Tensor:
        narrow = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        if narrow is not torch.bfloat16:
            return F.linear(input, weight, bias)
        rows = self._rounded(input)
        if not _lasts(weight) or input.ndim < 2 or not CAN_PACK:
            return F.linear(rows, weight, bias)
        packed = self._packed.get(id(weight))
        if packed is None or not packed.holds(weight):
            packed = self._packed[id(weight)] = _Packed(weight)
        apply: Callable[..., Tensor] = _FrozenLinear.apply
        if bias is not None and bias.requires_grad and torch.is_grad_enabled():
            return apply(rows, packed, None) + bias.to(narrow)
        return apply(rows, packed, None if bias is None else bias.to(narrow))

    def _rounded(self, states: Tensor) -> Tensor:
        """In bfloat16; made once for the layers that read the same states one after the other."""
        whole = states if states._base is None else states._base
        is_whole = whole.numel() == states.numel() and whole.is_contiguous()
        if states.dtype is torch.bfloat16 or states.is_inference() or not is_whole:
            return states.to(torch.bfloat16)
        if self._states is None or not self._states.of(whole):
            self._states = _Rounded(whole, whole._version, whole.to(torch.bfloat16))
        return self._states.narrow.view(states.shape)

    def _attention(  # noqa: PLR0913 - torch's signature
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """As ``scaled_dot_product_attention``: ``(sequences, heads, tokens, features)``."""
        if torch.is_autocast_enabled("cpu"):
            narrow = torch.get_autocast_dtype("cpu")
            query, key, value = query.to(narrow), key.to(narrow), value.to(narrow)
        if enable_gqa and key.shape[1] != query.shape[1]:
            groups = query.shape[1] // key.shape[1]
            key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
        shape = (*query.shape[:3], key.shape[2])
        if is_causal:
            attn_mask = torch.ones(shape[2:], dtype=torch.bool).tril()
        noise = self._noise(shape, dropout_p, query.dtype) if dropout_p else None
        scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        return attend(query, key, value, self._additive(attn_mask), noise, scale)

    def _additive(self, mask: Tensor | None) -> Tensor | None:
        """The mask as what is added to scores; made once for all layers that share it."""
        if mask is None:
            return None
        if self._masks is None or self._masks[0] is not mask:
            additive = mask.float()
            if mask.dtype == torch.bool:
                # Finite, so that a token that may look at nothing gives no NaN.
                additive = (1 - additive) * torch.finfo(torch.float32).min
            self._masks = (mask, additive)
        return self._masks[1]

    def _noise(self, shape: Sequence[int], p: float, dtype: torch.dtype) -> Tensor:
        """Zero with probability ``p``, else ``1 / (1 - p)``."""
        if self._random is None:
            raise ValueError("dropout needs kernels with a seed")
        count = math.prod(shape)
        words = self._random.integers(0, 1 << 64, -(-count // 4), dtype=np.uint64)
        drawn = words.view(np.int16)[:count]
        drawn &= WORD - 1
        drawn -= round(p * WORD)
        drawn >>= WORD.bit_length() - 1  # every bit set where a number is dropped, else none
        kept = torch.tensor(1 / (1 - p), dtype=torch.bfloat16).view(torch.int16).item()
        noise = np.bitwise_and(np.bitwise_not(drawn, out=drawn), np.int16(kept), out=drawn)
        return torch.from_numpy(noise).view(torch.bfloat16).view(*shape).to(dtype)


def same_kernels() -> contextlib.AbstractContextManager[object]:
    """The kernels that are active now, for what is computed a second time: they drop the same."""
    active = [m for m in _get_current_function_mode_stack() if isinstance(m, CpuKernels)]
    return active[-1].again() if active else contextlib.nullcontext()


def kernels(
    device: torch.device, seed: int | None = None
) -> contextlib.AbstractContextManager[object]:
    """The context in which models compute on a device; the same object can be entered again.

    Args:
        device: of the model.
        seed: of dropout; on a GPU torch's own generator draws, which follows its own seed.
    """
    return CpuKernels(seed) if device.type == "cpu" else contextlib.nullcontext()


class _Packed:
    """A weight in the order in which the processor multiplies, for both passes.

    The operators are those which torch's own compiler calls for frozen weights.

    Args:
        weight: ``(out, in)``; kept, so that no other takes its address.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight
        self._version = weight._version
        self.forward = _pack(weight)

    @cached_property
    def backward(self) -> Tensor:
        """Its transpose."""
        return _pack(self._weight.t())

    def holds(self, weight: Tensor) -> bool:
        """Whether it is that weight, unchanged since."""
        return self._weight is weight and self._version == weight._version


def _lasts(weight: Tensor) -> bool:
    """Whether it is the same at the next call: nobody has computed it, and no step changes it."""
    learns = weight.requires_grad and torch.is_grad_enabled()
    return isinstance(weight, nn.Parameter) and not weight.is_inference() and not learns


class _Rounded(NamedTuple):
    """States, their version, and what they are in bfloat16."""

    states: Tensor
    version: int
    narrow: Tensor

    def of(self, states: Tensor) -> bool:
        """Whether it was made of these, unchanged since, and passes gradients on if they do."""
        passes_on = states.requires_grad and torch.is_grad_enabled()
        same = self.states is states and self.version == states._version
        return same and self.narrow.requires_grad == passes_on


def _pack(weight: Tensor) -> Tensor:
    narrow = weight.detach().to(torch.bfloat16).contiguous()
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(narrow)
    return packed


class _FrozenLinear(torch.autograd.Function):
    """A linear layer whose weight and bias get no gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: _Packed, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return _product(rows, weight.forward, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _product(gradients[0], ctx.weight.backward), None, None


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product
