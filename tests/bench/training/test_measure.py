"""What is measured: answers in their order, latency, counts, memory, and the machine unnamed."""

from __future__ import annotations

import getpass
import itertools
import platform
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.batches import collate
from bench.data.tokens import evaluation_order
from bench.task import Batch
from bench.training import measure
from bench.training.measure import (
    EXTRAS,
    PACKAGES,
    WARM_UPS,
    PeakMemory,
    Stopwatch,
    count,
    environment,
    latency,
    load_trained,
    pass_seconds,
    predict,
    trained_tensors,
    warm_ups,
)
from tests.helpers.trials import make_questions

CHOICES = 4
CPU = torch.device("cpu")
MEBIBYTE = 1024 * 1024


class FirstWord(nn.Module):
    """Scores a choice by the id of its first word; notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3))
        self.frozen = nn.Parameter(torch.ones(5), requires_grad=False)
        self.sizes: list[int] = []
        self.modes: set[tuple[bool, bool]] = set()

    def forward(self, batch: Batch) -> Tensor:
        self.sizes.append(len(batch.answers))
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return batch.inputs["input_ids"][:, 0].float().view(-1, CHOICES)


def test_predictions_come_in_the_order_of_the_split_though_batches_are_sorted() -> None:
    split, model = make_questions(50), FirstWord()
    order = evaluation_order(split, 8)
    assert np.concatenate(order).tolist() != list(range(50))
    batches = [collate(split, rows) for rows in order]
    answers = predict(model, batches, device=CPU, precision="fp32")
    first_words = split.tokens[split.starts[:-1]].reshape(50, CHOICES)
    assert answers.given.tolist() == first_words.argmax(1).tolist()
    shares = torch.from_numpy(first_words).float().softmax(1).amax(1)
    torch.testing.assert_close(
        torch.from_numpy(answers.confidences), shares.double(), atol=5e-5, rtol=0
    )
    assert model.modes == {(False, True)}


class Counter:
    """A clock that lets given seconds pass between the two looks of each timing."""

    def __init__(self, durations: list[float]) -> None:
        self.steps = itertools.chain.from_iterable((0.0, seconds) for seconds in durations)
        self.now = 0.0

    def __call__(self) -> float:
        self.now += next(self.steps)
        return self.now


def test_latency_is_milliseconds_per_question_after_the_warm_up() -> None:
    model, split = FirstWord(), make_questions(20)
    clock = Counter([100.0] * WARM_UPS + [5.0, 1.0, 4.0, 2.0, 1.5])
    sizes = [2, 2, 2, 2, 1]
    seconds = pass_seconds(
        model,
        [collate(split, np.arange(size, dtype=np.int32)) for size in sizes],
        device=CPU,
        precision="fp32",
        stopwatch=Stopwatch(now=clock),
    )
    assert seconds == [5.0, 1.0, 4.0, 2.0, 1.5]
    assert model.sizes == [2, 2, 1, *sizes]
    assert model.modes == {(False, True)}
    told = latency(seconds, sizes)
    # 500, 1000, 1500, 2000 and 2500 ms: quartiles 1000 and 2000, 95 % lies 0.8 of the last step up.
    assert (told.batch_size, told.repeats) == (2, 5)
    assert (told.p50, told.p95, told.iqr) == pytest.approx((1500, 2400, 1000))


def test_the_first_the_middle_and_the_last_batch_warm_up() -> None:
    split = make_questions(9)
    batches = [collate(split, np.array([row], dtype=np.int32)) for row in range(9)]
    assert warm_ups(batches) == [batches[0], batches[4], batches[8]]
    assert warm_ups(batches[:1]) == [batches[0]] * WARM_UPS


def test_counting_counts_numbers_and_only_trained_ones_are_trained() -> None:
    model = FirstWord()
    assert count(model.parameters()) == 11
    assert count([]) == 0
    assert {name: tuple(t.shape) for name, t in trained_tensors(model).items()} == {
        "weight": (2, 3)
    }


def test_trained_tensors_go_back_where_they_came_from() -> None:
    model = FirstWord()
    load_trained(model, {"weight": torch.full((2, 3), 7.0)})
    assert model.weight.tolist() == [[7.0] * 3] * 2
    assert model.weight.requires_grad


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({}, "weight"),
        ({"weight": torch.zeros(3, 2)}, "weight"),
        ({"weight": torch.zeros(3)}, "weight"),
        ({"weight": torch.zeros(2, 3), "frozen": torch.zeros(5)}, "frozen"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(5)}, "bias"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_and_change_nothing(
    tensors: dict[str, Tensor], named: str
) -> None:
    model = FirstWord()
    with pytest.raises(ValueError, match=f"do not fit the model: {named}$"):
        load_trained(model, tensors)
    assert all(parameter.eq(1).all() for parameter in model.parameters())


@dataclass(frozen=True)
class Sized:
    """As much of a batch as memory is judged by."""

    padded_tokens: int


class Allocates(nn.Module):
    """Holds a MiB per token while it computes and until it is told to let go."""

    block: Tensor | None = None

    def forward(self, batch: Sized) -> None:
        self.block = torch.ones(batch.padded_tokens * MEBIBYTE, dtype=torch.uint8)


on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc what is in use")


@on_glibc
def test_the_peak_of_memory_is_what_was_in_use_at_once_above_the_start() -> None:
    model = Allocates()
    memory = PeakMemory(CPU)
    memory.watch(model)
    for mebibytes in (100, 50, 200, 150):
        model.block = None
        model(Sized(mebibytes))
    model.block = None
    peak = memory.peak_bytes
    assert peak is not None
    assert 195 * MEBIBYTE < peak < 260 * MEBIBYTE
    following = PeakMemory(CPU).peak_bytes
    assert following is not None
    assert following < 50 * MEBIBYTE


@on_glibc
def test_memory_is_looked_at_after_the_largest_batches_of_training_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, looks = nn.Identity(), []
    memory = PeakMemory(CPU)
    memory.watch(model)
    monkeypatch.setattr(measure, "_bytes_in_use", lambda: looks.append(1))
    looked = []
    for tokens in (40, 30, 40, 20, 40, 50):
        model(Sized(tokens))
        looked.append(len(looks))
    # The first one is before the optimizer has anything, so the next of its size counts too.
    assert looked == [1, 2, 3, 3, 3, 4]
    model.eval()
    model(Sized(1000))
    assert len(looks) == 4


def test_the_environment_tells_the_machine_but_not_whose_it_is() -> None:
    told = environment(CPU, "fp32", "sdpa")
    assert (told.precision, told.threads, told.attention) == ("fp32", 1, "sdpa")
    assert told.packages.keys() == {*PACKAGES, *EXTRAS}
    assert told.packages["torch"] == torch.__version__
    text = told.model_dump_json()
    words = set(re.split(r"[^\w.-]+", text))
    assert not words & {socket.gethostname(), socket.getfqdn(), platform.node(), getpass.getuser()}
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
