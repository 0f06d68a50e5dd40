"""Train a chosen configuration once more, on everything that is not kept for testing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from bench.export.logits import Tell
from bench.records.spec import TrialSpec
from bench.task import Batch
from bench.training.loop import Training
from bench.training.measure import trained_tensors
from bench.training.worker_state import Workbench


def train_final(
    spec: TrialSpec, workbench: Workbench, epochs: int, tell: Tell
) -> dict[str, torch.Tensor]:
    """Trains on the training examples of a workbench, and gives what was trained.

    The learning rate rises and falls as in the trial, whose schedule was of all its epochs, and
    training ends where the trial was best: its last epochs, if it had any after that, are left out
    rather than the schedule made shorter, which no trial has tried.

    Args:
        spec: the configuration.
        workbench: whose training examples are all to be learnt from.
        epochs: how many; no more than the trial's.
        tell: told of so many more examples that are being learnt from.

    Raises:
        TrialRefused: the strategy cannot adapt this backbone.
        TrialDiverged: a loss or its gradient was not finite.
    """
    model = workbench.adapted(spec)
    features = workbench.features(spec, model)
    steps_per_epoch = -(-workbench.train.split.examples // spec.settings.batch_size)
    training = Training(
        model,
        spec.settings,
        learning_rate=spec.learning_rate,
        total_steps=steps_per_epoch * spec.settings.epochs,
        precision=workbench.precision,
        seed=spec.seed,
    )
    torch.manual_seed(spec.seed)  # of dropout on a GPU, as in a trial
    for epoch in range(epochs):
        training.epoch(_told(workbench.epoch(spec, epoch, features), tell))
    return {
        name: tensor.to("cpu", copy=True).contiguous()
        for name, tensor in trained_tensors(model).items()
    }


def _told(batches: Iterable[Batch], tell: Tell) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        tell(len(batch.rows))
