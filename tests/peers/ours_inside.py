"""The one place where the benchmark reaches into ``bench``: to time training steps alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from bench.batches import Batch, collate
from bench.data import load_dataset
from bench.model import MultipleChoiceModel, choose_precision, store_in_bf16
from bench.source import BUNDLED, ModelSource, locate
from bench.spec import TrainSettings
from bench.tokens import tokenise, training_order
from bench.train import Training
from bench.workbench import CPU_PARTS

MANY_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The same questions in the same order.

    Attributes:
        ours: as a trial gets them.
        whole: every batch padded to its longest sequence, as a collator makes it.
    """

    ours: list[Batch]
    whole: list[Batch]

    @property
    def real_tokens(self) -> int:
        """Tokens of text."""
        return sum(batch.real_tokens for batch in self.ours)

    @property
    def padded_tokens(self) -> int:
        """Tokens that a trial computes."""
        return sum(batch.padded_tokens for batch in self.ours)


@cache
def source() -> ModelSource:
    """The bundled model, whose weights are checked once."""
    return locate(BUNDLED)


def precision() -> str:
    """What a sweep takes on this processor."""
    return choose_precision("auto", torch.device("cpu"))


def model(adapted: nn.Module, precision: str) -> MultipleChoiceModel:
    """An adapted backbone with the head, stored as a worker stores it."""
    width = source().config().hidden_size
    whole = MultipleChoiceModel(adapted, width=width, pooling="cls", dropout=0.1)
    if precision == "bf16":
        store_in_bf16(whole.backbone)
    return whole


def loop(model: MultipleChoiceModel, batches: Batches, precision: str) -> Callable[[], float]:
    """Trains on all batches once, by the loop that trials use."""
    training = Training(
        model,
        TrainSettings(),
        learning_rate=1e-4,
        total_steps=MANY_STEPS,
        precision=precision,
        seed=0,
    )
    return lambda: training.epoch(batches.ours)


def load_batches(dataset: Path, batch_size: int, max_length: int) -> Batches:
    """All training questions of a folder."""
    questions = load_dataset(str(dataset)).splits["train"]
    split = tokenise(questions, source().tokenizer(), max_length)
    order = training_order(split, batch_size, 0, 0)
    return Batches(
        ours=[collate(split, rows, CPU_PARTS) for rows in order],
        whole=[collate(split, rows) for rows in order],
    )


def lengths(batch: Batch) -> list[tuple[list[int], int]]:
    """Per part of a batch the tokens of each sequence, and what they are padded to."""
    masks = [part["attention_mask"] for part in batch.parts]
    return [(mask.sum(1).tolist(), mask.shape[1]) for mask in masks]
