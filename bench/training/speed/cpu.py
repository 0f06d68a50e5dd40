"""Dropout, attention and frozen layers for CPUs, where torch's own take longer than they need."""

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

LANES = 16
"""Numbers in float32 that a vector register holds; torch's softmax computes rows of fewer one by
one, which takes up to six times as long."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    noise: Tensor | None,
    scale: float,
) -> Tensor:
    """``(sequences, heads, tokens, features)``, with gradients for the first three.

    Args:
        query: ``(sequences, heads, tokens, features)``.
        key: ``(sequences, heads, keys, features)``.
        value: ``(sequences, heads, keys, features)``.
        mask: what is added to the scores, in float32; broadcast to them.
        noise: factors of the probabilities, ``(sequences, heads, tokens, keys)``; for dropout.
        scale: of the scores.
    """
    apply: Callable[..., Tensor] = _Attention.apply
    return apply(query, key, value, mask, noise, scale)


class _Attention(torch.autograd.Function):
    """Softmax of scaled scores in float32, products in the precision of the operands."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        noise: Tensor | None,
        scale: float,
    ) -> Tensor:
        batch, heads = query.shape[:2]
        q, k, v = (_flat(tensor) for tensor in (query, key, value))
        scores = torch.bmm(q, k.transpose(1, 2)).float().mul_(scale)
        if mask is not None:
            scores.view(batch, heads, *scores.shape[1:]).add_(mask)
        weights = _softmax_(scores).to(q.dtype)
        dropped = weights if noise is None else weights * noise.view_as(weights)
        ctx.save_for_backward(q, k, v, weights, noise)
        ctx.scale = scale
        return torch.bmm(dropped, v).view(batch, heads, q.shape[1], v.shape[2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        q, k, v, weights, noise = ctx.saved_tensors
        batch, heads = gradient.shape[:2]
        out = _flat(gradient)
        d_weights = torch.bmm(out, v.transpose(1, 2))
        dropped = weights
        if noise is not None:
            noise = noise.view_as(weights)
            dropped = weights * noise
            d_weights *= noise
        d_scores = _softmax_slope(weights.float(), d_weights.float())
        d_scores = d_scores.mul_(ctx.scale).to(q.dtype)
        needs_q, needs_k, needs_v = ctx.needs_input_grad[:3]
        return (
            torch.bmm(d_scores, k).view(batch, heads, *q.shape[1:]) if needs_q else None,
            torch.bmm(d_scores.transpose(1, 2), q).view(batch, heads, *k.shape[1:])
            if needs_k
            else None,
            torch.bmm(dropped.transpose(1, 2), out).view(batch, heads, *v.shape[1:])
            if needs_v
            else None,
            None,
            None,
            None,
        )


def _softmax_(scores: Tensor) -> Tensor:
    """Softmax of each row, in place if the rows are narrow: torch's is slow for those."""
    if scores.shape[-1] >= LANES:
        return torch.softmax(scores, -1)
    powers = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return powers.div_(powers.sum(-1, keepdim=True))


def _softmax_slope(weights: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of the scores, given that of their softmax."""
    if weights.shape[-1] >= LANES:
        return torch._softmax_backward_data(gradient, weights, -1, torch.float32)
    parts = weights * gradient
    return parts.addcmul_(weights, parts.sum(-1, keepdim=True), value=-1)


def _flat(tensor: Tensor) -> Tensor:
    """``(sequences, heads, …)`` to ``(sequences · heads, …)``."""
    return tensor.reshape(-1, *tensor.shape[2:])


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

    def _attention(
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
