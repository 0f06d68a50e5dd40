"""The one training loop: its schedule, its decay, its clipping, and how it tells divergence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.batches import collate
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tokens import TokenSplit, training_order
from bench.errors import TrialDiverged
from bench.records.spec import TrainSettings
from bench.task import Batch
from bench.training.loop import Training, _triangle
from bench.training.model import TaskModel
from tests.helpers.tiny import WIDTH, tiny
from tests.helpers.trials import make_questions

CHOICES = 4


def _epoch_of(split: TokenSplit, size: int = 4, epoch: int = 0) -> Iterator[Batch]:
    return (collate(split, rows) for rows in training_order(split, size, 0, epoch))


def _training(
    model: nn.Module, steps: int, rate: float = 1e-2, seed: int = 0, **settings: float | str
) -> Training:
    return Training(
        model,
        TrainSettings(**{"warmup_ratio": 0.0, **settings}),  # type: ignore[arg-type]
        learning_rate=rate,
        total_steps=steps,
        precision="fp32",
        seed=seed,
    )


class Votes(nn.Module):
    """One logit per place, whatever is asked, and weights that change no logit."""

    task = MultipleChoice()

    def __init__(self) -> None:
        super().__init__()
        self.votes = nn.Parameter(torch.zeros(CHOICES))
        self.idle_matrix = nn.Parameter(torch.ones(2, 2))
        self.idle_vector = nn.Parameter(torch.ones(2))

    def forward(self, batch: Batch) -> Tensor:
        idle = self.idle_matrix.sum() + self.idle_vector.sum()
        return self.votes.expand(len(batch.answers), -1) + 0 * idle


class NanAtCall(Votes):
    """Loses its logits at a call counted from 0."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.left = call

    def forward(self, batch: Batch) -> Tensor:
        self.left -= 1
        return super().forward(batch) * (torch.nan if self.left < 0 else 1.0)


class SteepVotes(Votes):
    """Logits of zero whose slope is infinite."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch).abs().sqrt()


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    factors = [_triangle(step, warmup=2, total=6) for step in range(7)]
    assert factors == pytest.approx([1 / 3, 2 / 3, 1, 3 / 4, 1 / 2, 1 / 4, 0])


def test_every_step_trains_even_where_all_or_one_is_warm_up() -> None:
    for warmup, total in [(1, 1), (1, 2), (5, 5), (1, 100)]:
        factors = [_triangle(step, warmup=warmup, total=total) for step in range(total)]
        assert all(0 < factor <= 1 for factor in factors)
        assert _triangle(total, warmup=warmup, total=total) == 0


def test_the_schedule_moves_the_weights_as_it_says() -> None:
    # Adam's steps under one gradient are the learning rate itself.
    model, split = Votes(), make_questions(1)
    training = _training(model, 6, rate=1e-4, warmup_ratio=2 / 6)
    training.epoch(batch for _ in range(3) for batch in _epoch_of(split))
    right = model.votes[int(split.answers[0])].item()
    assert right == pytest.approx(1e-4 * (1 / 3 + 2 / 3 + 1), rel=1e-3)


def test_matrices_decay_and_vectors_do_not() -> None:
    model = Votes()
    _training(model, 1, rate=0.1, weight_decay=0.5).epoch(_epoch_of(make_questions(4)))
    # One step at half the peak, as the only step is warm-up: 1 − 0.05 · 0.5.
    torch.testing.assert_close(model.idle_matrix, torch.full((2, 2), 0.975))
    assert model.idle_vector.tolist() == [1.0, 1.0]


def test_a_clipped_gradient_is_smaller_for_all_weights_together() -> None:
    moved = {}
    for clip_norm in (1.0, 1e-12):
        model = Votes()
        _training(model, 1, clip_norm=clip_norm).epoch(_epoch_of(make_questions(4)))
        moved[clip_norm] = model.votes.abs().max().item()
    # Adam divides a gradient by its size plus 1e-8: far below that nothing moves.
    assert moved[1.0] == pytest.approx(5e-3, rel=1e-3)
    assert moved[1e-12] < 1e-6


@pytest.mark.parametrize("call", [0, 2, 4])
def test_a_loss_that_is_no_number_is_told_with_its_step(call: int) -> None:
    split = make_questions(12)
    training = _training(NanAtCall(call), 6)
    for epoch in range(call // 3):
        training.epoch(_epoch_of(split, epoch=epoch))
    with pytest.raises(TrialDiverged) as divergence:
        training.epoch(_epoch_of(split, epoch=1))
    assert divergence.value.step == call
    assert np.isnan(divergence.value.loss)


def test_an_infinite_gradient_in_the_very_last_step_is_told_too() -> None:
    with pytest.raises(TrialDiverged) as divergence:
        _training(SteepVotes(), 1).epoch(_epoch_of(make_questions(4)))
    assert divergence.value.step == 0


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches() -> None:
    # Votes of zero give log 4 at each step, if nothing is learnt meanwhile.
    loss = _training(Votes(), 3, rate=1e-12).epoch(_epoch_of(make_questions(12)))
    assert loss == pytest.approx(np.log(CHOICES), rel=1e-6)


def _learner(dropout: float = 0.1) -> TaskModel:
    torch.manual_seed(0)
    return TaskModel(MultipleChoice(), tiny("bert"), width=WIDTH, pooling="mean", dropout=dropout)


def test_the_loss_falls_on_sixteen_memorised_questions() -> None:
    split = make_questions(16)
    training = _training(_learner(dropout=0.0), 40, rate=5e-3)
    losses = [training.epoch(_epoch_of(split, epoch=epoch)) for epoch in range(10)]
    assert losses[-1] < losses[0] / 2


def test_frozen_weights_stay_and_the_others_move() -> None:
    model = _learner()
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _training(model, 4).epoch(_epoch_of(make_questions(16)))
    moved = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    # The head's bias shifts all choices alike: its gradient is zero but for rounding.
    assert moved - {"head.bias"} == {"head.weight"}


def test_equal_seeds_give_bit_identical_weights_after_an_epoch() -> None:
    weights = []
    for seed in (3, 3, 4):
        model = _learner()
        _training(model, 4, seed=seed).epoch(_epoch_of(make_questions(16)))
        weights.append(model.state_dict())
    first, second, other = weights
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


class Hungry(nn.Module):
    """A model for which memory is too short beyond so many questions; never drops anything."""

    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner = inner
        self.task = MultipleChoice()
        self.most = most
        self.seen: list[int] = []

    def train(self, mode: bool = True) -> Hungry:
        return super().train(False)

    def forward(self, batch: Batch) -> Tensor:
        self.seen.append(len(batch.rows))
        if len(batch.rows) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(batch)  # type: ignore[no-any-return]


def _model() -> TaskModel:
    torch.manual_seed(0)
    return TaskModel(MultipleChoice(), tiny("bert"), width=WIDTH, pooling="cls", dropout=0.0)


def test_the_gradients_of_parts_add_up_to_those_of_the_whole_batch() -> None:
    (batch,) = _epoch_of(make_questions(8), 8)
    found = []
    for most in (8, 3):
        hungry = Hungry(_model(), most)
        training = _training(hungry, 2, micro_batch="auto", batch_size=8)
        loss = training._gradients(batch)
        found.append([loss, *(p.grad for p in hungry.parameters() if p.grad is not None)])
    assert len(found[0]) > 10
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-4)


def test_a_batch_is_halved_until_it_fits_and_stays_so() -> None:
    hungry = Hungry(Votes(), 3)
    training = _training(hungry, 4, micro_batch="auto", batch_size=8)
    training.epoch(_epoch_of(make_questions(16), 8))
    assert hungry.seen == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert training.micro_batch == 2


@pytest.mark.parametrize(("most", "micro_batch"), [(0, "auto"), (4, "whole")])
def test_memory_that_does_not_do_is_told(most: int, micro_batch: str) -> None:
    training = _training(Hungry(Votes(), most), 2, micro_batch=micro_batch, batch_size=8)
    with pytest.raises(torch.OutOfMemoryError):
        training.epoch(_epoch_of(make_questions(8), 8))
