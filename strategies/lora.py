"""LoRA: a frozen linear layer plus a learned product of two thin matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.anatomy import attention_output, blocks, freeze, linears, projections, skeleton, width
from bench.errors import TrialRefused
from bench.strategy import PeftAdapter, Strategy

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

Targets = Literal["query_value", "attention", "all_linear"]
Init = Literal["zeros", "gaussian"]
GAUSSIAN_DEVIATION = 0.02
LANES = 16
"""Products are made with a multiple of so many columns, zeros beyond the rank: vector units and
matrix units compute no slower, and need code for few widths instead of one per rank."""


class LowRankLinear(nn.Module):
    """Computes ``W x + bias + scaling · B A dropout(x)`` with ``W`` and ``bias`` frozen.

    Hu et al. 2021, section 4.1. ``A`` is ``(rank, in)`` and drawn Kaiming-uniform with a = √5, as
    the authors' code does; ``B`` is ``(out, rank)`` and zero, so that the layer starts as ``W``.
    """

    def __init__(self, frozen: nn.Linear, strategy: LoRA) -> None:
        super().__init__()
        self.frozen = frozen
        self.scaling = strategy.alpha_ratio
        self.dropout = nn.Dropout(strategy.dropout)
        device = frozen.weight.device
        self.down = nn.Parameter(torch.empty(strategy.rank, frozen.in_features, device=device))
        self.up = nn.Parameter(torch.zeros(frozen.out_features, strategy.rank, device=device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        if strategy.init == "gaussian":
            nn.init.normal_(self.up, std=GAUSSIAN_DEVIATION)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(..., in)`` to ``(..., out)``."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        frozen: Tensor = self.frozen(rows)
        down: Tensor = self.down
        up: Tensor = self.up
        if spare := -len(down) % LANES:
            down, up = F.pad(down, (0, 0, 0, spare)), F.pad(up, (0, spare))
        narrow = F.linear(self.dropout(rows), down)
        # One product adds the scaled change in place, without a pass for each; autocast, which
        # leaves such a product alone, has made the two others.
        frozen.addmm_(narrow, up.t().to(narrow.dtype), alpha=self.scaling)
        return frozen.view(*inputs.shape[:-1], -1)

    @property
    def weight(self) -> Tensor:
        """``W + scaling · B A``, ``(out, in)``: what a model sees that reads the weight itself.

        Made in the more precise of the two types: rounding the sum to a bfloat16 ``W`` would lose
        most of a small ``B A``.
        """
        precise = torch.promote_types(self.frozen.weight.dtype, self.up.dtype)
        change = self.up.to(precise) @ self.down.to(precise)
        return self.frozen.weight.to(precise) + self.scaling * change

    def merged(self) -> nn.Linear:
        """The plain layer with the whole ``weight``, kept in its precision."""
        linear = self.frozen
        linear.weight = nn.Parameter(self.weight.detach(), requires_grad=False)
        return linear


@dataclass(frozen=True, kw_only=True)
class LoRA(Strategy):
    """Low-rank adaptation of chosen linear layers, merged into them for inference.

    Attributes:
        rank: of the learned change.
        alpha_ratio: the scaling α/r itself. Held while the rank is searched, else the rank would
            change the effective learning rate too.
        dropout: on the input of the learned path only.
        targets: ``query_value`` as in the paper's main results, ``attention`` (query, key, value
            and output) or ``all_linear`` (every linear layer of the blocks). A projection that
            makes queries, keys and values at once is adapted whole, also for ``query_value``, as
            PEFT does.
        init: of B. ``zeros`` as in the paper; ``gaussian`` (deviation 0.02) starts away from the
            pretrained model, the reference report's mistake, kept to be measured.
    """

    name: ClassVar[str] = "lora"
    paper: ClassVar[str] = "https://arxiv.org/abs/2106.09685"

    rank: int = 8
    alpha_ratio: float = 2.0
    dropout: float = 0.0
    targets: Targets = "query_value"
    init: Init = "zeros"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank >= 1 must hold, got {self.rank}")
        if not self.alpha_ratio > 0:
            raise ValueError(f"alpha_ratio > 0 must hold, got {self.alpha_ratio}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"0 <= dropout < 1 must hold, got {self.dropout}")
        if self.targets not in get_args(Targets):
            raise ValueError(f"targets must be one of {get_args(Targets)}, got {self.targets!r}")
        if self.init not in get_args(Init):
            raise ValueError(f"init must be one of {get_args(Init)}, got {self.init!r}")

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes the backbone and puts a low-rank change beside every target."""
        names = self._target_names(backbone)
        if not names:
            raise TrialRefused(self.name, self._reason(backbone.config))
        freeze(backbone)
        for name in names:
            linear = backbone.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            backbone.set_submodule(name, LowRankLinear(linear, self))
        return backbone

    def refuse(self, config: PretrainedConfig) -> str | None:
        """A model without linear layers in the target roles."""
        return None if self._target_names(skeleton(config)) else self._reason(config)

    @property
    def starts_unchanged(self) -> bool:
        """With B = 0 the change is zero."""
        return self.init == "zeros"

    def deploy(self, backbone: nn.Module) -> nn.Module:
        """Merges every change into its layer, which leaves the pretrained structure."""
        for name, module in list(backbone.named_modules()):
            if isinstance(module, LowRankLinear):
                backbone.set_submodule(name, module.merged())
        return backbone

    def peft_adapter(self, backbone: nn.Module) -> PeftAdapter | str:
        """PEFT's LoRA on the same layers, with α = rank · ``alpha_ratio``."""
        layers = {
            name: module
            for name, module in backbone.named_modules()
            if isinstance(module, LowRankLinear)
        }
        tensors: dict[str, Tensor] = {}
        for name, layer in layers.items():
            tensors[f"base_model.model.{name}.lora_A.weight"] = layer.down.detach()
            tensors[f"base_model.model.{name}.lora_B.weight"] = layer.up.detach()
        config = {
            "peft_type": "LORA",
            "task_type": "FEATURE_EXTRACTION",
            "r": self.rank,
            "lora_alpha": self.rank * self.alpha_ratio,
            "lora_dropout": self.dropout,
            "target_modules": list(layers),
            "bias": "none",
        }
        return PeftAdapter(config=config, tensors=tensors)

    def _target_names(self, backbone: PreTrainedModel) -> list[str]:
        return [
            f"{prefix}.{name}"
            for prefix, block in blocks(backbone).items()
            for name in self._targets_of(block, width(backbone.config))
        ]

    def _targets_of(self, block: nn.Module, width: int) -> list[str]:
        if self.targets == "all_linear":
            return list(linears(block))
        if self.targets == "query_value":
            return projections(block, "query", "value")
        output = attention_output(block, width)
        names = projections(block, "query", "key", "value")
        return [*names, output] if names and output else names

    def _reason(self, config: PretrainedConfig) -> str:
        return f"the blocks of a {config.model_type} model hold no linear layers for {self.targets}"
