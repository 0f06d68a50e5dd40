"""Full fine-tuning: every weight of the backbone trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.strategy import Strategy

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Full(Strategy):
    """Trains the whole backbone, the upper bound in parameters and the usual reference."""

    name: ClassVar[str] = "full"
    paper: ClassVar[str] = "https://arxiv.org/abs/1810.04805"

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Leaves everything trainable."""
        return backbone
