"""The one place where the benchmark reaches into ``bench``: to time training steps alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn

from bench.data.batches import collate, evenly
from bench.data.load import load_dataset
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tokens import tokenise, training_order
from bench.pretrained.source import BUNDLED, ModelSource, locate
from bench.records.spec import TrainSettings
from bench.task import Batch
from bench.training.loop import Training, autocast
from bench.training.model import TaskModel, choose_precision, store_in_bf16

MANY_STEPS = 10_000


@cache
def source() -> ModelSource:
    """The bundled model, whose weights are checked once."""
    return locate(BUNDLED)


def precision() -> str:
    """What a sweep takes on this processor."""
    return choose_precision("auto", torch.device("cpu"))


def model(adapted: nn.Module, precision: str, batch: Batch) -> TaskModel:
    """An adapted backbone with the head, stored as a worker stores it.

    Args:
        adapted: the backbone.
        precision: it computes in.
        batch: any, to see that nothing that is read is left out.
    """
    whole = plain_model(adapted)
    if precision == "bf16":
        store_in_bf16(whole.backbone)
    with torch.no_grad(), autocast(torch.device("cpu"), precision):
        whole.eval().leave_out_unread(batch.inputs)
    return whole


def plain_model(adapted: nn.Module) -> TaskModel:
    """The same as it is loaded: every weight in float32, every state computed."""
    return TaskModel(
        MultipleChoice(), adapted, width=source().config().hidden_size, pooling="cls", dropout=0.1
    )


def loop(model: TaskModel, batches: list[Batch], precision: str) -> Callable[[], float]:
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


def load_batches(dataset: Path, batch_size: int, max_length: int, count: int) -> list[Batch]:
    """Batches of a folder's training epoch that stand for all, spread evenly over their widths."""
    questions = load_dataset(str(dataset)).splits["train"]
    split = tokenise(MultipleChoice(), questions, source().tokenizer(), max_length)
    batches = [collate(split, rows) for rows in training_order(split, batch_size, 0, 0)]
    return evenly(sorted(batches, key=lambda batch: batch.padded_tokens), count)


def lengths(batch: Batch) -> tuple[list[int], int]:
    """The tokens of each sequence of a batch, and what they are padded to."""
    mask = batch.inputs["attention_mask"]
    return mask.sum(1).tolist(), mask.shape[1]
