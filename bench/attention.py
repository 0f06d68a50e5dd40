"""Attention for CPUs and short sequences, for which torch's fused form is not made.

Four batched matrix products around a softmax in float32, with dropout or without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

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
    def forward(  # noqa: PLR0913
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
