"""Let Ray Tune run a plan, and score what was chosen."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from bench.cluster.slots import Capacity, Slots
from bench.records.events import Observer
from bench.records.study_record import BudgetSpent
from bench.records.trial_record import TrialRecord
from bench.storage.ledger import Ledger
from bench.study.run_options import RunOptions
from bench.tune.budget import Meter
from bench.tune.plan import Agenda
from bench.tune.scheduler import HalvingScheduler, KeptWorkers
from bench.tune.searcher import Conductor
from bench.tune.test_scoring import Choose, Exam
from bench.tune.worker import TrialWorker, WorkerSetup


class _Watcher(tune.Callback):
    """Tells the conductor what a searcher is not told: when an attempt begins, why one died.

    And kills workers that hang. Tune itself tries nothing again but what a drained node has cost:
    it would not know a worker that died of its trial from one that went with its node.
    """

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        self._conductor.began(trial.trial_id)

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        told = Path(trial.error_file) if trial.error_file else None
        error = told.read_text(encoding="utf-8") if told and told.exists() else ""
        self._conductor.died(trial.trial_id, error)

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        if late := self._conductor.late:
            for trial in trials:
                if trial.trial_id in late and trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What came of a search.

    Attributes:
        records: of the trials that have ended, earlier ones and scores included; fewer than
            planned after an interrupt or a budget.
        budget_spent: the budget that ended it too soon; ``None`` if none did.
        missing: trials that were to run and have not ended.
        interrupted: whether a person, or a batch system, has ended it.
    """

    records: list[TrialRecord]
    budget_spent: BudgetSpent | None
    missing: int = 0
    interrupted: bool = False


def _fit(tuner: tune.Tuner) -> bool:
    """Runs Tune, and returns whether it was interrupted.

    Tune takes the signal for itself, gives it back when it comes, and keeps it for good otherwise.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        tuner.fit()
        return signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, before)


def run_plan(
    plan: Agenda,
    kept: Iterable[TrialRecord],
    choose: Choose,
    setup: WorkerSetup,
    slots: Slots,
    ledger: Ledger,
    observe: Observer,
    options: RunOptions,
) -> Searched:
    """Runs all that is left of a plan, as far as the budget goes, then scores the chosen.

    Args:
        plan: the trials.
        kept: records of earlier runs that count.
        choose: what to score on test; asked once no trial is left, not after an interrupt.
        setup: what every worker needs.
        slots: what a trial is given on the Ray that has been started, and how many run at a time.
        ledger: where records go.
        observe: told of every event.
        options: budgets, retries and timeout, and whether every trial has a process of its own.

    Raises:
        StorageError: the run folder cannot be written; what could be is there.
    """
    exam = Exam(choose, ledger, observe)
    meter = Meter(options, slots.gpus)
    conductor = Conductor(plan, ledger, observe, exam, kept=kept, meter=meter, options=options)
    conductor.capacity = Capacity(slots)
    # Tune, with our searcher and scheduler, and nothing of its own that could decide.
    scheduler = HalvingScheduler(
        conductor.stops, None if options.fresh_workers else KeptWorkers(conductor.wanted)
    )
    with tempfile.TemporaryDirectory(prefix="paretune-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(TrialWorker, setup=setup), slots.resources),
            tune_config=tune.TuneConfig(
                search_alg=conductor,
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=slots.most,
                reuse_actors=not options.fresh_workers,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[_Watcher(conductor)],
                verbose=0,
            ),
        )
        interrupted = _fit(tuner)
    if conductor.broken:
        raise conductor.broken
    return Searched(
        records=exam.marked(conductor.records),
        budget_spent=conductor.budget_spent,
        missing=conductor.missing,
        interrupted=interrupted,
    )
