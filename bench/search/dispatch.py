"""Let Ray Tune run a plan: our searcher hands out specs, every end becomes a record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from bench.ledger import Ledger
from bench.record import RETRIED_ON_RESUME, Status, TestScore, TrialRecord
from bench.search.cluster import Slots
from bench.search.events import Ended, EpochDone, Observer, Started
from bench.search.plan import Plan
from bench.search.worker import PROGRESS, SPEC, TrialWorker, WorkerSetup
from bench.spec import TrialSpec
from bench.tokens import TokenSplit
from bench.trial import TRACEBACK_LINES, Progress, score_test

MAX_RETRIES = 2
"""Times a trial is tried again after its worker died."""


@dataclass(kw_only=True)
class _Attempts:
    """Attempts of a running trial.

    Attributes:
        count: begun so far.
        began: reading of the clock at the last beginning.
        lost: seconds of attempts that came to nothing.
    """

    count: int
    began: float
    lost: float


class Conductor(Searcher):
    """Gives Tune the plan's trials and turns what it reports into records.

    Args:
        plan: what to run.
        ledger: where records go, and where results of the same trial may lie already.
        observe: told of every event.
    """

    def __init__(self, plan: Plan, ledger: Ledger, observe: Observer) -> None:
        super().__init__()
        self._plan = plan
        self._ledger = ledger
        self._known = ledger.records().readable
        self._observe = observe
        self._running: dict[str, TrialSpec] = {}
        self._attempts: dict[str, _Attempts] = {}
        self._reported: dict[str, TrialRecord] = {}
        self.records: list[TrialRecord] = []

    # Ray means the constant FINISHED too, but declares a dict.
    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        """The next trial's configuration: its spec."""
        while (spec := self._plan.next()) is not None:
            known = self._known.get(spec.fingerprint)
            if known is None or known.status in RETRIED_ON_RESUME:
                self._running[trial_id] = spec
                return {SPEC: spec}
            labels = {"study": spec.study, "number": spec.number, "context": spec.context}
            self._end(known.model_copy(update=labels))
        return str(Searcher.FINISHED)

    def began(self, trial_id: str) -> None:
        """Notes that an attempt of a trial begins."""
        now = time.perf_counter()
        earlier = self._attempts.get(trial_id)
        self._attempts[trial_id] = _Attempts(
            count=earlier.count + 1 if earlier else 1,
            began=now,
            lost=earlier.lost + now - earlier.began if earlier else 0.0,
        )
        self._observe(Started(spec=self._running[trial_id], attempt=self._attempts[trial_id].count))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes in an epoch, or the record with which a trial has ended."""
        progress: Progress = result[PROGRESS]
        spec = self._running[trial_id]
        if progress.ended:
            self._reported[trial_id] = progress.record
        elif progress.validation is not None:
            self._observe(
                EpochDone(spec=spec, epoch=progress.epoch, validation=progress.validation)
            )

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ends a trial that has reported its record.

        One that has not was either interrupted, and will run again, or lost its worker, which
        ``died`` is told of.
        """
        if result and PROGRESS in result and trial_id in self._running:
            self.on_trial_result(trial_id, result)
        record = self._reported.pop(trial_id, None)
        if record is not None:
            del self._running[trial_id]
            self._end(_with_attempts(record, self._attempts.get(trial_id)))

    def died(self, trial_id: str, deaths: int, error: str) -> None:
        """Ends a trial whose worker died more often than it is tried again.

        Args:
            trial_id: Tune's name of the trial.
            deaths: how often.
            error: what Ray says about the last one.
        """
        spec = self._running.pop(trial_id)
        lines = error.strip().splitlines() or ["no reason given"]
        record = TrialRecord.of(
            spec,
            Status.FAILED,
            reason=f"its worker died {deaths} times: {lines[-1]}",
            traceback="\n".join(lines[-TRACEBACK_LINES:]),
            attempts=deaths,
        )
        self._end(record)

    def _end(self, record: TrialRecord) -> None:
        self._ledger.write(record)
        self.records.append(record)
        self._plan.finish(record)
        self._observe(Ended(record=record))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the only state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the only state."""

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher for a restore that never happens here, and an observer that
        # draws on a terminal does not pickle.
        return {}


def _with_attempts(record: TrialRecord, attempts: _Attempts | None) -> TrialRecord:
    if attempts is None or attempts.count == 1:
        return record
    seconds = record.seconds and record.seconds.model_copy(update={"lost": attempts.lost})
    return record.model_copy(update={"attempts": attempts.count, "seconds": seconds})


class _Watcher(tune.Callback):
    """Tells the conductor what a searcher is not told: when an attempt begins, why one died."""

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
        self._conductor.died(trial.trial_id, trial.num_failures, error)


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """Runs trials on a Ray that has been started.

    Attributes:
        slots: what a trial is given, and how many run at a time.
        setup: what every worker needs.
        ledger: where records go.
        observe: told of every event.
        fresh_workers: a new process for every trial.
    """

    slots: Slots
    setup: WorkerSetup
    ledger: Ledger
    observe: Observer
    fresh_workers: bool = False

    def run(self, plan: Plan) -> list[TrialRecord]:
        """Runs all that is left of a plan.

        Returns:
            The records of the trials that ended; fewer than planned after an interrupt.
        """
        conductor = Conductor(plan, self.ledger, self.observe)
        worker = tune.with_parameters(TrialWorker, setup=self.setup)
        with tempfile.TemporaryDirectory(prefix="paretune-") as scratch:
            tune.Tuner(
                tune.with_resources(worker, self.slots.resources),
                tune_config=tune.TuneConfig(
                    search_alg=conductor,
                    num_samples=-1,
                    max_concurrent_trials=self.slots.count,
                    reuse_actors=not self.fresh_workers,
                ),
                run_config=tune.RunConfig(
                    name="search",
                    storage_path=scratch,
                    failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    callbacks=[_Watcher(conductor)],
                    verbose=0,
                ),
            ).fit()
        return conductor.records

    def score(
        self, specs: list[TrialSpec], test: TokenSplit, data: str
    ) -> Iterator[tuple[str, TestScore | str]]:
        """Scores chosen trials on the test split, each once.

        Args:
            specs: the chosen trials.
            test: the test questions.
            data: their content hash.

        Yields:
            Fingerprint and score, or why there is none.
        """
        task = ray.remote(_score).options(num_cpus=self.slots.cpus, num_gpus=self.slots.gpus)
        setup, questions = ray.put(self.setup), ray.put(test)
        running = {spec.fingerprint: task.remote(setup, spec, questions, data) for spec in specs}
        for fingerprint, reference in running.items():
            yield fingerprint, _outcome(reference)


def _score(setup: WorkerSetup, spec: TrialSpec, test: TokenSplit, data: str) -> TestScore:
    checkpoint = Ledger(setup.folder).checkpoint(spec.fingerprint)
    return score_test(spec, setup.workbench(), checkpoint, test, data)


def _outcome(reference: Any) -> TestScore | str:
    try:
        score: TestScore = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return f"{type(error.cause).__name__}: {error.cause}"
    except ray.exceptions.RayError as error:
        return f"{type(error).__name__}: its worker died"
    return score
