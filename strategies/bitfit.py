"""BitFit: only the bias terms train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.anatomy import freeze, skeleton
from bench.errors import TrialRefused
from bench.strategy import Strategy

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class BitFit(Strategy):
    """Trains every bias of the backbone, those of the layer norms included.

    Ben Zaken et al. 2021, section 3.
    """

    name: ClassVar[str] = "bitfit"
    paper: ClassVar[str] = "https://arxiv.org/abs/2106.10199"

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes all but the biases."""
        biases = _biases(backbone)
        if not biases:
            raise TrialRefused(self.name, _reason(backbone.config))
        freeze(backbone)
        for bias in biases:
            bias.requires_grad_(True)
        return backbone

    def refuse(self, config: PretrainedConfig) -> str | None:
        """A model without biases, as most recent decoders are."""
        return None if _biases(skeleton(config)) else _reason(config)


def _biases(backbone: PreTrainedModel) -> list[nn.Parameter]:
    return [
        parameter
        for name, parameter in backbone.named_parameters()
        if name.rpartition(".")[2] == "bias"
    ]


def _reason(config: PretrainedConfig) -> str:
    return f"a {config.model_type} model of this configuration has no bias terms"
