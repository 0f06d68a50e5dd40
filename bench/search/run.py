"""Run a prepared study from wherever its ledger stands to a written report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.clock import Stopwatch
from bench.errors import StudyError
from bench.ledger import Ledger, Records, set_aside
from bench.record import Status, TrialRecord
from bench.search.budget import NO_BUDGET, Budget
from bench.search.care import USUAL_CARE, Care
from bench.search.cluster import Demand, Slots, cluster
from bench.search.doctor import preflight
from bench.search.events import Observer, Opened
from bench.search.importances import importances
from bench.search.plan import Plan
from bench.search.prepared import Prepared
from bench.search.stages import Stages, frozen, resume_confirmation, untested
from bench.storage import write_whole
from bench.study_record import Run, StudyRecord
from bench.tokens import TokenSplit
from bench.weights import Weights
from reports.write import render

ENDED_WELL = frozenset({Status.COMPLETED, Status.PRUNED, Status.SKIPPED})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: all records that belong to the study.
        interrupted: whether trials or scorings are missing, and no budget is the reason.
    """

    run: Run
    interrupted: bool

    @property
    def study(self) -> StudyRecord:
        """What was asked, and the budget that ended the search too soon if one did."""
        return self.run.study

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """One per trial that has ended."""
        return (*self.run.searched, *self.run.confirmed)

    @property
    def failed(self) -> tuple[TrialRecord, ...]:
        """Trials that ended without a result, or were frozen and could not be scored on test."""
        broken = (record for record in self.records if record.status not in ENDED_WELL)
        return (*broken, *(() if self.interrupted else self.run.unanswered))


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is run; none of it changes a result.

    Attributes:
        budget: what the search may spend; a spent one still ends in tests and a report.
        care: what is done about trials whose worker dies or hangs.
        fresh_workers: a new process for every trial.
        search: whether to search; else what there is is confirmed and tested.
    """

    budget: Budget = NO_BUDGET
    care: Care = USUAL_CARE
    fresh_workers: bool = False
    search: bool = True


USUAL = Options()


def run_study(
    prepared: Prepared, demand: Demand, observe: Observer, options: Options = USUAL
) -> Outcome:
    """Runs what the ledger lacks: searches, freezes, confirms, tests, and writes the report.

    Args:
        prepared: the study.
        demand: where to run it.
        observe: told of every event.
        options: how.

    Raises:
        InputError: the cluster cannot serve it, or the folder is in use.
        StorageError: the run folder cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(prepared.ledger.lock())
        standing = _resume(prepared, prepared.ledger.records())
        ready = _make_ready(prepared, (*standing.notices, *_open_cluster(demand)))
        if not options.search:
            spent = {"budget_spent": prepared.ledger.study().budget_spent}
            ready = replace(ready, study=ready.study.model_copy(update=spent))
        weights = _weights(prepared, ready.study, standing, options)
        slots = stack.enter_context(_slots(demand, options.budget)) if weights else None
        ready = _written(prepared, ready, demand if slots else None)
        observe(_opened(ready, standing, slots, options))
        complete = not (options.search and standing.plan.left)
        if slots and weights:
            stages = Stages(
                prepared=prepared,
                study=ready.study,
                weights=weights,
                train=ready.train,
                validation=ready.validation,
                observe=observe,
                care=options.care,
                fresh_workers=options.fresh_workers,
            )
            complete = _through(stages, standing, slots, options)
        return _close(prepared, interrupted=not complete)


def _written(prepared: Prepared, ready: _Ready, demand: Demand | None) -> _Ready:
    """Writes down what is asked, if trials can run where it is asked for.

    Args:
        prepared: the study.
        ready: what is known of it.
        demand: of trials that are to run; ``None`` if none are.

    Raises:
        StudyError: a node of the cluster stands in the way.
    """
    study = ready.study
    if demand and demand.address:
        study = study.model_copy(update={"notices": (*study.notices, *preflight(prepared))})
    return replace(ready, study=prepared.ledger.write_study(study))


def _through(stages: Stages, standing: _Standing, slots: Slots, options: Options) -> bool:
    """Goes through all stages; whether they came to their end.

    After an interrupt no further one begins.
    """
    prepared, study = stages.prepared, stages.study
    searched = list(standing.kept)
    try:
        if options.search:
            found = stages.search(standing.plan, standing.kept, slots, options.budget)
            searched = found.records
            if found.budget_spent:
                spent = {"budget_spent": found.budget_spent}
                prepared.ledger.write_study(study.model_copy(update=spent))
            broke_off = found.missing > 0 and found.budget_spent is None
            more = bool(study.confirm) or not _is_tested(stages, searched)
            if broke_off or (found.interrupted and more):
                return False
        if not study.confirm:
            return True
        again = stages.confirm(searched, standing.again, slots.alone)
        cut = again.interrupted and not _is_tested(stages, again.records)
        return not (again.missing or cut)
    except KeyboardInterrupt:  # between two stages, where Tune does not catch it
        return False


def _is_tested(stages: Stages, records: Iterable[TrialRecord]) -> bool:
    """Whether all that was frozen has answered the test questions."""
    freeze = stages.prepared.ledger.freeze()
    return freeze is not None and not untested(stages.study, freeze, records)


def write_report(ledger: Ledger, run: Run) -> None:
    """Writes every file of the report."""
    for name, content in render(run, importances(run)).items():
        write_whole(ledger.report_folder / name, content)


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """Where a ledger stands.

    Attributes:
        plan: what is left of the search.
        kept: records of the search that count.
        again: records with fresh seeds.
        notices: what there is to tell.
    """

    plan: Plan
    kept: tuple[TrialRecord, ...]
    again: tuple[TrialRecord, ...]
    notices: tuple[str, ...]


def _resume(prepared: Prepared, found: Records) -> _Standing:
    """Compares the records with the plan; damaged files are set aside, so that they run again."""
    plan, mine = prepared.plan(), prepared.mine(found.readable.values())
    kept = [record for record in prepared.searched(mine) if plan.keep(record)]
    notices = []
    for path, fault in found.damaged.items():
        notices.append(f"{path.name} was damaged ({fault}); set aside as {set_aside(path).name}")
    if apart := len(found.readable) - len(mine):
        notices.append(
            f"{apart} records of other settings, data or code are in this run folder; left out"
        )
    again = tuple(record for record in mine if record.confirms)
    return _Standing(plan=plan, kept=tuple(kept), again=again, notices=tuple(notices))


def _weights(
    prepared: Prepared, study: StudyRecord, standing: _Standing, options: Options
) -> Weights | None:
    """The pretrained model; ``None`` where there is nothing left to compute.

    Raises:
        ModelError: it cannot be loaded, which is told before Ray starts.
    """
    if (options.search and standing.plan.left) or _is_open(prepared, study, standing):
        return Weights.of(prepared.source.backbone())
    return None


def _is_open(prepared: Prepared, study: StudyRecord, standing: _Standing) -> bool:
    """Whether something that is or will be frozen has not been confirmed or tested."""
    if not study.confirm:
        return bool(untested(study, frozen(prepared, standing.kept), standing.kept))
    confirmation, kept = resume_confirmation(prepared, study, standing.kept, standing.again)
    return confirmation.left > 0 or bool(untested(study, confirmation.freeze, kept))


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


def _close(prepared: Prepared, *, interrupted: bool) -> Outcome:
    """Writes the report."""
    run = prepared.ledger.run()
    write_report(prepared.ledger, run)
    return Outcome(run=run, interrupted=interrupted)


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


def _opened(ready: _Ready, standing: _Standing, slots: Slots | None, options: Options) -> Opened:
    return Opened(
        study=ready.study,
        kept=standing.kept,
        workers=slots.count if slots and standing.plan.left and options.search else 0,
        seconds=options.budget.seconds,
    )


def _truncated(*splits: TokenSplit) -> float:
    """Share of sequences that were cut."""
    return sum(split.truncated for split in splits) / sum(split.sequences for split in splits)
