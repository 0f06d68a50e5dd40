"""Trials times seconds over workers, by hand."""

from __future__ import annotations

from bench.cluster.slots import Slots
from bench.training.rehearsal import Rehearsal
from bench.tune.estimate import ArmEstimate, Forecast


def slots(count: int) -> Slots:
    return Slots(cpus=1.0, gpus=0.0, count=count, device_shared=False)


def arm(trials: int, trial: float = 0.0, once: float = 0.0) -> ArmEstimate:
    return ArmEstimate(trials=trials, rehearsal=Rehearsal(step=0.1, trial=trial, once=once))


def test_an_arm_takes_its_trials_and_what_is_done_once() -> None:
    assert arm(4, trial=10.0, once=3.0).seconds == 43.0
    assert arm(0, trial=10.0, once=3.0).seconds == 0.0
    assert ArmEstimate(trials=4, rehearsal=None, reason="refused").seconds == 0.0


def test_trials_are_not_cut_in_two() -> None:
    found = Forecast(arms={"a": arm(3, trial=10.0), "b": arm(2, trial=10.0)}, slots=slots(2))
    assert found.seconds == 30.0


def test_more_workers_than_trials_stand_idle() -> None:
    found = Forecast(arms={"a": arm(2, trial=10.0)}, slots=slots(8))
    assert found.seconds == 10.0


def test_nothing_left_takes_no_time() -> None:
    assert Forecast(arms={"a": arm(0, trial=10.0)}, slots=slots(2)).seconds == 0.0
