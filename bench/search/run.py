"""Run a prepared study from wherever its ledger stands to a written report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from bench.arm import Arm
from bench.clock import Stopwatch
from bench.errors import LedgerError, StudyError
from bench.ledger import Ledger, Records, set_aside
from bench.record import Status, StudyRecord, TrialRecord
from bench.search.budget import NO_BUDGET, Budget
from bench.search.care import USUAL_CARE, Care
from bench.search.cluster import Demand, Slots, cluster
from bench.search.dispatch import Dispatcher, Searched
from bench.search.events import Observer, Opened
from bench.search.plan import Plan
from bench.search.prepare import Prepared
from bench.search.worker import Scoring, WorkerSetup
from bench.spec import TrialSpec
from bench.storage import write_whole
from bench.tokens import TokenSplit
from bench.weights import Weights
from reports.standings import best_trials
from reports.write import render

ENDED_WELL = frozenset({Status.COMPLETED, Status.PRUNED, Status.SKIPPED})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        study: what was asked, and the budget that ended it too soon if one did.
        records: one per trial that has ended, of this study and these settings.
        interrupted: whether planned trials have not ended, and no budget is the reason.
    """

    study: StudyRecord
    records: tuple[TrialRecord, ...]
    interrupted: bool

    @property
    def failed(self) -> tuple[TrialRecord, ...]:
        """Trials that ended without a result, or were chosen and could not be scored on test."""
        unscored = {} if self.interrupted else best_trials(self.records)
        return tuple(
            record
            for record in self.records
            if record.status not in ENDED_WELL
            or (record.test is None and record in unscored.values())
        )


def run_study(
    prepared: Prepared,
    demand: Demand,
    observe: Observer,
    *,
    budget: Budget = NO_BUDGET,
    care: Care = USUAL_CARE,
    fresh_workers: bool = False,
) -> Outcome:
    """Runs what the ledger lacks, scores the chosen trials on test, writes the report.

    Longer than other functions: half of it says what the options mean.

    Args:
        prepared: the study.
        demand: where to run it.
        observe: told of every event.
        budget: what the search may spend; a spent one still ends in tests and a report.
        care: what is done about trials whose worker dies or hangs.
        fresh_workers: a new process for every trial.

    Raises:
        InputError: the cluster cannot serve it, or the folder is in use.
        StorageError: the run folder cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(prepared.ledger.lock())
        standing = _resume(prepared, prepared.ledger.records())
        weights = _weights(prepared, standing)
        slots = stack.enter_context(_slots(demand, budget)) if weights else None
        ready = _make_ready(prepared, (*standing.notices, *_open_cluster(demand)))
        ready = replace(ready, study=prepared.ledger.write_study(ready.study))
        observe(_opened(ready, standing, slots, budget))
        found = Searched(records=list(standing.kept), budget_spent=None)
        if slots and weights:
            setup = worker_setup(prepared, weights, ready.train, ready.validation, slots)
            dispatcher = Dispatcher(
                slots=slots,
                setup=replace(setup, timeout=care.timeout),
                ledger=prepared.ledger,
                observe=observe,
                fresh_workers=fresh_workers,
                budget=budget,
                care=care,
            )
            found = dispatcher.run(standing.plan, standing.kept, partial(_chosen, prepared))
        return _close(prepared, ready.study, found)


def write_report(ledger: Ledger, study: StudyRecord, records: Iterable[TrialRecord]) -> None:
    """Writes every file of the report."""
    for name, content in render(study, list(records)).items():
        write_whole(ledger.report_folder / name, content)


def study_records(ledger: Ledger) -> tuple[StudyRecord, list[TrialRecord]]:
    """A run folder's study and the trials that belong to it.

    Raises:
        LedgerError: it is no run folder, or records are damaged.
    """
    ledger.check_inside()
    study, found = ledger.study(), ledger.records()
    if found.damaged:
        faults = (f"{path.name}: {fault}" for path, fault in found.damaged.items())
        raise LedgerError(*faults, "run the study's command again: it sets damaged files aside")
    return study, [record for record in found.readable.values() if study.holds(record)]


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """Where a ledger stands.

    Attributes:
        plan: what is left to do.
        kept: records that count.
        notices: what there is to tell.
    """

    plan: Plan
    kept: tuple[TrialRecord, ...]
    notices: tuple[str, ...]


def _resume(prepared: Prepared, found: Records) -> _Standing:
    """Compares the records with the plan; damaged files are set aside, so that they run again."""
    plan = prepared.plan()
    contexts = {arm.name: prepared.context(arm) for arm in prepared.study.arms}
    mine = [r for r in found.readable.values() if contexts.get(r.arm) == r.context]
    mine.sort(key=lambda record: (record.arm, record.number))  # about as they came to the rungs
    kept = [r for r in mine if r.number < prepared.planned[r.arm] and plan.keep(r)]
    notices = []
    for path, fault in found.damaged.items():
        notices.append(f"{path.name} was damaged ({fault}); set aside as {set_aside(path).name}")
    if apart := len(found.readable) - len(mine):
        notices.append(
            f"{apart} records of other settings, data or code are in this run folder; left out"
        )
    return _Standing(plan=plan, kept=tuple(kept), notices=tuple(notices))


def _weights(prepared: Prepared, standing: _Standing) -> Weights | None:
    """The pretrained model; ``None`` where there is nothing left to compute.

    Raises:
        ModelError: it cannot be loaded, which is told before Ray starts.
    """
    if standing.plan.left or _untested(prepared, standing.kept):
        return Weights.of(prepared.source.backbone())
    return None


def _untested(prepared: Prepared, records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The chosen trial of each arm that has not answered this test split yet."""
    data = prepared.dataset.fingerprint("test")
    chosen = best_trials(records).values()
    return [record for record in chosen if record.test is None or record.test.data != data]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ready:
    """What trials learn from and are validated on, as tokens, and what the run folder says."""

    train: TokenSplit
    validation: TokenSplit
    study: StudyRecord


def _make_ready(prepared: Prepared, notices: tuple[str, ...]) -> _Ready:
    """Makes the tokens once for all trials."""
    clock = Stopwatch()
    with clock.span("tokenise"):
        train, validation = prepared.tokens("train"), prepared.tokens("validation")
    study = prepared.record(
        truncated=_truncated(train, validation),
        tokenise_seconds=clock.seconds["tokenise"],
        notices=notices,
    )
    return _Ready(train=train, validation=validation, study=study)


def _interrupted(prepared: Prepared, found: Searched) -> bool:
    missing = sum(prepared.planned.values()) - len(found.records)
    return found.unscored or (missing > 0 and found.budget_spent is None)


def _close(prepared: Prepared, study: StudyRecord, found: Searched) -> Outcome:
    """Writes down how the search ended, and the report."""
    if found.budget_spent:
        study = study.model_copy(update={"budget_spent": found.budget_spent})
        study = prepared.ledger.write_study(study)
    write_report(prepared.ledger, study, found.records)
    return Outcome(
        study=study, records=tuple(found.records), interrupted=_interrupted(prepared, found)
    )


@contextmanager
def _slots(demand: Demand, budget: Budget) -> Iterator[Slots]:
    """Ray, if the budget can be spent on it."""
    with cluster(demand) as slots:
        if budget.gpu_hours is not None and not slots.gpus:
            raise StudyError(
                f"--max-gpu-hours {budget.gpu_hours:g}: trials use no GPU here, so it would never"
                " be spent; use --time-budget, such as --time-budget 30m"
            )
        yield slots


def _open_cluster(demand: Demand) -> list[str]:
    if demand.address and demand.insecure:
        return ["ran with --insecure-cluster: the Ray cluster may let in whoever reaches it"]
    return []


def _opened(ready: _Ready, standing: _Standing, slots: Slots | None, budget: Budget) -> Opened:
    return Opened(
        study=ready.study,
        kept=standing.kept,
        workers=slots.count if slots and standing.plan.left else 0,
        seconds=budget.seconds,
    )


def _chosen(prepared: Prepared, records: list[TrialRecord]) -> list[Scoring]:
    """What is to be scored on test; only here are the test questions made into tokens."""
    chosen = _untested(prepared, records)
    if not chosen:
        return []
    arms = {arm.name: arm for arm in prepared.study.arms}
    test, data = prepared.tokens("test"), prepared.dataset.fingerprint("test")
    return [
        Scoring(spec=_spec_of(prepared, arms[record.arm], record), test=test, data=data)
        for record in chosen
    ]


def _spec_of(prepared: Prepared, arm: Arm, record: TrialRecord) -> TrialSpec:
    return prepared.spec(
        arm, record.number, {knob: record.values[knob] for knob in arm.space.knobs}
    )


def _truncated(*splits: TokenSplit) -> float:
    """Share of sequences that were cut."""
    return sum(split.truncated for split in splits) / sum(split.sequences for split in splits)


def worker_setup(
    prepared: Prepared,
    weights: Weights,
    train: TokenSplit,
    validation: TokenSplit,
    slots: Slots,
) -> WorkerSetup:
    """What workers of these slots need for a study."""
    return WorkerSetup(
        weights=weights,
        train=train,
        validation=validation,
        precision=prepared.study.file.precision,
        threads=max(1, int(slots.cpus)),
        use_gpu=slots.gpus > 0,
        device_shared=slots.device_shared,
        folder=prepared.ledger.folder.absolute(),
        memory=slots.memory,
    )
