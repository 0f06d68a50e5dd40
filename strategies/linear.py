"""Linear probing: the backbone is a fixed feature extractor under the scoring head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.anatomy import freeze
from bench.strategy import Strategy

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Linear(Strategy):
    """Trains nothing of the backbone: what the head alone can do, the lower bound.

    Alain and Bengio, "Understanding intermediate layers using linear classifier probes".
    """

    name: ClassVar[str] = "linear"
    paper: ClassVar[str] = "https://arxiv.org/abs/1610.01644"

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes everything."""
        freeze(backbone)
        return backbone
