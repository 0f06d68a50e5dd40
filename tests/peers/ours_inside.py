"""The one place where the benchmark reaches into ``bench``: to time training steps alone."""

from __future__ import annotations

from collections.abc import Callable
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

MANY_STEPS = 10_000


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


def loop(model: MultipleChoiceModel, batches: list[Batch], precision: str) -> Callable[[], float]:
    """Trains on all batches once, by the loop that trials use."""
    training = Training(
        model,
        TrainSettings(),
        learning_rate=1e-4,
        total_steps=MANY_STEPS,
        precision=precision,
        seed=0,
    )
    return lambda: training.epoch(batches)


def load_batches(dataset: Path, batch_size: int, max_length: int) -> list[Batch]:
    """All training questions of a folder."""
    questions = load_dataset(str(dataset)).splits["train"]
    split = tokenise(questions, source().tokenizer(), max_length)
    order = training_order(split, batch_size, 0, 0)
    return [collate(split, rows) for rows in order]


def lengths(batch: Batch) -> tuple[list[int], int]:
    """The tokens of each sequence of a batch, and what they are padded to."""
    mask = batch.inputs["attention_mask"]
    return mask.sum(1).tolist(), mask.shape[1]
