"""A strategy that computes next to nothing, so that what a trial costs besides can be seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from bench.space import LEARNING_RATE, Integer, Space, Uniform
from bench.strategy import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Still(nn.Module):
    """Gives every token the one learned vector; the backbone does not run."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(width))

    def forward(self, input_ids: Tensor, **inputs: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.vector.expand(*input_ids.shape, -1))


@dataclass(frozen=True, kw_only=True)
class Noop(Strategy):
    """Nothing is adapted; ``size`` only gives the search something to search.

    Attributes:
        size: any.
        rest: seconds that a trial lies idle, as the driver of a busy accelerator does.
    """

    name: ClassVar[str] = "noop"
    paper: ClassVar[str] = "https://example.org/none"

    size: int = 1
    rest: float = 0.0

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        time.sleep(self.rest)
        return Still(backbone.config.hidden_size)


SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(low=1e-4, high=1e-1, log=True, source="none"),
        "size": Integer(low=1, high=64, log=True, source="none"),
    },
)
