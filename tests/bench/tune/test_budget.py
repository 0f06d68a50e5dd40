"""Budgets: what a person may type, and when they are spent."""

from __future__ import annotations

import pytest

from bench.study.run_options import RunOptions
from bench.tune.budget import Meter


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_is_spent_from_the_beginning_of_the_search() -> None:
    clock = Clock()
    meter = Meter(RunOptions.model_validate({"time_budget": "1m 30s"}), clock=clock)
    clock.now += 89.9
    assert meter.spent is None
    clock.now += 0.1
    assert meter.spent == "1m30s"


def test_plain_seconds_are_told_as_seconds() -> None:
    clock = Clock()
    meter = Meter(RunOptions.model_validate({"time_budget": "45"}), clock=clock)
    clock.now += 45
    assert meter.spent == "45s"


def test_gpu_hours_are_gpus_held_times_hours_over_all_trials() -> None:
    clock = Clock()
    meter = Meter(RunOptions(max_gpu_hours=1.5), gpus=0.5, clock=clock)
    clock.now += 7200  # nobody holds one
    meter.hold("a")
    meter.hold("b")
    clock.now += 3600
    assert meter.gpu_hours == pytest.approx(1.0)
    meter.release("b")
    meter.release("b")
    meter.hold("a")  # a second attempt
    clock.now += 3599
    assert meter.spent is None
    clock.now += 1
    assert meter.gpu_hours == pytest.approx(1.5)
    assert meter.spent == "1.5 GPU hours"


def test_without_a_budget_nothing_is_ever_spent() -> None:
    clock = Clock()
    meter = Meter(gpus=8, clock=clock)
    meter.hold("a")
    clock.now += 1e9
    assert meter.spent is None
