"""Trials on tiny models: a workbench, a spec, and strategies that end in a given way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tokens import TokenSplit
from bench.errors import TrialDiverged
from bench.records.spec import TrainSettings, TrialSpec
from bench.records.trial_record import TrialRecord
from bench.strategy import Strategy, installed_strategies
from bench.training.trial import Trial
from bench.training.worker_state import Workbench
from tests.helpers.tiny import VOCABULARY, WIDTH, tiny

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

CHOICES = 4
HEAD = WIDTH + 1
INSTALLED: list[Strategy] = [strategy() for strategy in installed_strategies().found.values()]

each_strategy = pytest.mark.parametrize("strategy", INSTALLED, ids=lambda s: s.name)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A trial that has ended."""

    spec: TrialSpec
    record: TrialRecord
    checkpoint: Path


def make_questions(count: int, seed: int = 0) -> TokenSplit:
    """Random words without meaning, in sequences of unequal length."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 9, count * CHOICES)
    return TokenSplit(
        tokens=generator.integers(3, VOCABULARY, lengths.sum(), dtype=np.int32),
        types=None,
        starts=np.cumsum([0, *lengths], dtype=np.int32),
        first=np.arange(0, count * CHOICES + 1, CHOICES, dtype=np.int32),
        answers=generator.integers(0, CHOICES, count, dtype=np.int32),
        truncated=0,
    )


def make_workbench(family: str = "bert", **changes: Any) -> Workbench:
    parts: dict[str, Any] = {
        "backbone": tiny(family),
        "train": make_questions(24, seed=1),
        "validation": make_questions(40, seed=2),
        "device": torch.device("cpu"),
        "precision": "fp32",
        "device_shared": False,
    }
    return Workbench(**parts | changes)


def make_spec(
    strategy: Strategy, *, seed: int = 0, learning_rate: float = 1e-2, **settings: Any
) -> TrialSpec:
    return TrialSpec(
        study="study",
        arm=strategy.name,
        number=0,
        task=MultipleChoice(),
        strategy=strategy,
        learning_rate=learning_rate,
        seed=seed,
        settings=TrainSettings(**{"epochs": 2, "batch_size": 8, "pooling": "mean"} | settings),
        data="data",
        model="model",
        code="code",
        context="context",
    )


def run(spec: TrialSpec, workbench: Workbench, folder: Path) -> Done:
    checkpoint = folder / f"{len(list(folder.iterdir()))}.safetensors"
    trial = Trial(spec, workbench, checkpoint)
    progress = trial.advance()
    while not progress.ended:
        progress = trial.advance()
    return Done(spec=spec, record=progress.record, checkpoint=checkpoint)


CROWD = 12
"""Sequences of a pass for which memory is too short, where that is played: three questions."""


class Ending(nn.Module):
    """A backbone that ends its trial in a given way when it first computes."""

    def __init__(self, backbone: PreTrainedModel, error: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.error = error

    def forward(self, **inputs: Tensor) -> Any:
        if self.error == "allocation":
            torch.empty(10**15)
        if self.error == "crowded" and self.training and len(inputs["input_ids"]) > CROWD:
            raise ERRORS["OutOfMemoryError"]
        if self.error in ERRORS:
            raise ERRORS[self.error]
        states = self.backbone(**inputs)
        if self.error == "NaN" and self.training:
            states.last_hidden_state = states.last_hidden_state * torch.nan
        return states


ERRORS: dict[str, Exception] = {
    "ValueError": ValueError("one line\nand another"),
    "MemoryError": MemoryError(),
    "OutOfMemoryError": torch.OutOfMemoryError("tried to allocate 2 GiB"),
    "TrialDiverged": TrialDiverged(3, float("inf")),
}


@dataclass(frozen=True, kw_only=True)
class Ends(Strategy):
    """Ends its trial in the way it is asked to."""

    name: ClassVar[str] = "ends"
    paper: ClassVar[str] = "https://example.org"

    error: str = "ValueError"

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        for parameter in backbone.parameters():
            parameter.data = parameter.data + 1
        if self.error == "in adapt":
            raise ValueError("no such layer")
        return Ending(backbone, self.error)

    def refuse(self, config: PretrainedConfig) -> str | None:
        return "not on a Sunday" if self.error == "refuse" else None
