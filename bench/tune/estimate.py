"""Before anything is spent: what a study would take, from a few steps of every arm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ray

from bench.cluster.join import cluster
from bench.cluster.slots import Slots
from bench.errors import TrialRefused
from bench.pretrained.shared_weights import Weights
from bench.records.spec import TrialSpec
from bench.study.experiment import Experiment
from bench.study.run_options import RunOptions
from bench.training.rehearsal import Rehearsal, rehearse
from bench.tune.gpu_share import settle
from bench.tune.plan import left_by_arm
from bench.tune.worker import WorkerSetup, worker_setup


@dataclass(frozen=True, kw_only=True)
class ArmEstimate:
    """What is expected of an arm.

    Attributes:
        trials: left to run.
        rehearsal: of its first configuration; ``None`` where there is no telling.
        reason: why there is none.
    """

    trials: int
    rehearsal: Rehearsal | None
    reason: str | None = None

    @property
    def seconds(self) -> float:
        """Of all its trials, one after the other."""
        if self.rehearsal is None:
            return 0.0
        return self.trials * self.rehearsal.trial + (self.rehearsal.once if self.trials else 0.0)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is expected of a study.

    Attributes:
        arms: by name.
        slots: where trials would run.
        seeds: fresh seeds for what will be chosen.
        placed: how ``--gpus-per-trial auto`` was decided; ``None`` where it was not asked for.
    """

    arms: dict[str, ArmEstimate]
    slots: Slots
    seeds: int = 0
    placed: str | None = None

    @property
    def confirmations(self) -> int:
        """Trials with fresh seeds if each arm's chosen configuration alone is on the front."""
        return self.seeds * sum(arm.rehearsal is not None for arm in self.arms.values())

    @property
    def confirm_seconds(self) -> float:
        """Of these by the clock, if a trial with more cores took no less time."""
        trials = [arm.rehearsal.trial for arm in self.arms.values() if arm.rehearsal]
        return self.seeds * sum(trials) / self.slots.alone.count

    @property
    def seconds(self) -> float:
        """Of the search by the clock, without start and test; trials are not cut in two."""
        trials = sum(arm.trials for arm in self.arms.values())
        total = sum(arm.seconds for arm in self.arms.values())
        if not trials:
            return 0.0
        return total / trials * math.ceil(trials / min(self.slots.count, trials))


def estimate(prepared: Experiment, options: RunOptions) -> Forecast:
    """Rehearses every arm where its trials would run, as many at a time as there would be.

    The first configuration stands for all: ranks and lengths change little of the time.

    Raises:
        InputError: the cluster cannot serve the study, or the weights cannot be loaded.
    """
    left = left_by_arm(prepared)
    arms = {arm.name: prepared.plan_spec(arm) for arm in prepared.study.arms}
    weights = Weights.of(prepared.source.backbone())
    train, validation = prepared.tokens("train"), prepared.tokens("validation")
    with cluster(options) as found:
        slots, placed = settle(prepared, options, found, weights, (train, validation))
        setup = ray.put(worker_setup(prepared, weights, train, validation, slots))
        task = ray.remote(_rehearse).options(
            num_cpus=slots.cpus, num_gpus=slots.gpus, max_retries=0
        )
        running = {name: task.remote(setup, spec) for name, spec in arms.items()}
        return Forecast(
            arms={name: _outcome(left[name], told) for name, told in running.items()},
            slots=slots,
            seeds=prepared.study.file.confirm,
            placed=placed,
        )


def _rehearse(setup: WorkerSetup, spec: TrialSpec) -> Rehearsal | str:
    try:
        return rehearse(spec, setup.workbench())
    except TrialRefused as refusal:
        return f"skipped: {refusal.reason}"
    except Exception as error:  # noqa: BLE001 - the edge of a trial
        return f"{type(error).__name__}: {error}"


def _outcome(trials: int, told: ray.ObjectRef[Rehearsal | str]) -> ArmEstimate:
    try:
        found = ray.get(told)
    except ray.exceptions.RayError as error:
        found = f"its worker died: {type(error).__name__}"
    if isinstance(found, str):
        return ArmEstimate(trials=trials, rehearsal=None, reason=found)
    return ArmEstimate(trials=trials, rehearsal=found)
