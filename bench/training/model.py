"""The model of a trial, a backbone under its task's head, and the precision it computes in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bench.records.spec import Pooling, Precision
from bench.task import AnyTask, Batch, Inputs
from bench.training.speed.checkpointing import checkpoint_blocks
from bench.training.speed.compiling import compiled
from bench.training.speed.cpu import same_kernels
from bench.training.speed.last_block import LeadingTokens

ROUNDING = 0.02
"""Most that a vector may differ, as a share of its length, to pass for rounded in bfloat16."""


class TaskModel(nn.Module):
    """Answers by dropout and the task's head on one pooled vector of each sequence.

    Args:
        task: makes the head, and logits of what it gives.
        backbone: what a strategy's ``adapt`` returned.
        width: size of the backbone's hidden states.
        pooling: the vector that is read; see ``pooled``.
        dropout: before the linear map.

    Attributes:
        recomputed: called in training when a checkpointed block has been computed again.
    """

    def __init__(
        self, task: AnyTask, backbone: nn.Module, *, width: int, pooling: Pooling, dropout: float
    ) -> None:
        super().__init__()
        self.task = task
        self.backbone = backbone
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = task.head(width)
        self.recomputed: list[Callable[[], object]] = []
        self._leading: LeadingTokens | None = None
        self._compiled: Callable[[Inputs], torch.Tensor] | None = None

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits ``(examples, answers)`` in float32; ``-inf`` where there is no such answer."""
        vectors = self.read(batch.inputs) if batch.vectors is None else batch.vectors
        # Eight bits of a bf16 logit do not order four answers: the head computes in float32.
        with torch.autocast(vectors.device.type, enabled=False):
            return self.task.logits(self.head(self.dropout(vectors)), batch)

    def read(self, inputs: Inputs) -> torch.Tensor:
        """The pooled vector of each sequence, ``(sequences, width)`` in float32."""
        mask = inputs["attention_mask"]
        with self._leading.of(mask.shape[1]) if self._leading else contextlib.nullcontext():
            hidden = self._states(inputs) if self._compiled is None else self._compiled(inputs)
        return pooled(hidden, mask, self.pooling).float()

    def _states(self, inputs: Inputs) -> torch.Tensor:
        hidden: torch.Tensor = self.backbone(**inputs).last_hidden_state
        return hidden

    def compile_backbone(self) -> None:
        """From now on computes by a compiled form of the backbone, made when it first computes.

        Until the backbone is given another form, see ``leave_out_unread``.
        """
        self._compiled = compiled(self._states)

    def checkpoint(self, *, compiled: bool = False) -> None:
        """From now on keeps no activations inside the backbone's blocks while it trains.

        Args:
            compiled: whether the backbone will be compiled.

        Raises:
            ValueError: the backbone cannot be checkpointed.
        """
        if compiled:
            checkpoint_blocks(self.backbone)
        else:
            checkpoint_blocks(self.backbone, (same_kernels, self._as_now), self.recomputed)

    def _as_now(self) -> contextlib.AbstractContextManager[None]:
        return self._leading.again() if self._leading else contextlib.nullcontext()

    def leave_out_unread(self, sample: Inputs) -> None:
        """From now on computes no state that nothing reads, where that gives the same vectors.

        To be called again when the backbone has been given another form, in evaluation and in the
        precision the model will compute in; what was compiled of the former is let go.

        Args:
            sample: a few sequences, to compare the vectors.
        """
        self._compiled = None
        self._compute_whole()
        if self.pooling != "cls":
            return
        whole = self.read(sample)
        self._leading = LeadingTokens(self.backbone)
        if not self._reads(sample, whole):
            self._compute_whole()

    def _compute_whole(self) -> None:
        if self._leading:
            self._leading.remove()
        self._leading = None

    def _reads(self, sample: Inputs, expected: torch.Tensor) -> bool:
        """Whether these vectors come of it, but for rounding."""
        try:
            apart = torch.linalg.vector_norm(self.read(sample) - expected, dim=1)
        except RuntimeError:  # what a strategy has put there needs every token
            return False
        return bool((apart <= ROUNDING * torch.linalg.vector_norm(expected, dim=1)).all())


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """One vector per sequence.

    Args:
        hidden: ``(sequences, tokens, width)``.
        mask: 1 for text, 0 for padding on the right, ``(sequences, tokens)``.
        pooling: ``cls`` the first token, ``mean`` over the text, ``last`` token of the text.

    Returns:
        ``(sequences, width)``.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        rows = torch.arange(len(hidden), device=hidden.device)
        return hidden[rows, mask.sum(1) - 1]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def choose_precision(asked: Precision, device: torch.device) -> str:
    """``fp32`` or ``bf16``: what was asked, or bf16 where the processor computes in it.

    On a CPU that is AVX512-BF16 or AMX; on a GPU native bf16 arithmetic, not an emulation.
    """
    if asked != "auto":
        return asked
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        cpu: Any = torch.cpu
        native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def store_in_bf16(model: nn.Module, *, trained_too: bool = False) -> None:
    """Keeps frozen matrices in bf16; vectors and what is trained stay in float32.

    Under autocast the matrices are the operands of every product, so storing them in bf16 saves
    the cast; biases and norms are too small to matter and are kept exact.

    Args:
        model: changed in place.
        trained_too: cast trained matrices as well, for inference.
    """
    for parameter in model.parameters():
        if parameter.ndim >= 2 and (trained_too or not parameter.requires_grad):
            parameter.data = parameter.data.to(torch.bfloat16)
