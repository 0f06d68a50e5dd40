"""Run a prepared study from wherever its ledger stands to a written report."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from bench.cluster.join import cluster
from bench.cluster.slots import Demand, Slots
from bench.data.tokens import TokenSplit
from bench.doctor.examine import preflight
from bench.errors import LedgerError, StudyError
from bench.pretrained.shared_weights import Weights
from bench.records.events import Frozen, Narrowed, Observer, Opened
from bench.records.spec import TrialSpec
from bench.records.study_record import BudgetSpent, Candidate, Freeze, Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import Location, rename, storage_error, write_whole
from bench.storage.ledger import Ledger, Records
from bench.study.experiment import Experiment
from bench.trackers.base import track
from bench.training.measure import Stopwatch
from bench.tune.budget import NO_BUDGET, Budget
from bench.tune.confirmation import Confirmation, make_freeze, still_holds
from bench.tune.driver import Dispatcher, Searched
from bench.tune.gpu_share import SAYS, settle
from bench.tune.importances import importances
from bench.tune.plan import NothingLeft, Plan, make_plan
from bench.tune.retry import USUAL_CARE, Care
from bench.tune.worker import Scoring, worker_setup
from reports.write import render


@dataclass(frozen=True, kw_only=True)
class Standing:
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


def resume(prepared: Experiment, found: Records) -> Standing:
    """Compares the records with the plan; damaged files are set aside, so that they run again."""
    plan, mine = make_plan(prepared), prepared.mine(found.readable.values())
    kept = [record for record in prepared.searched(mine) if plan.keep(record)]
    notices = []
    for path, fault in found.damaged.items():
        notices.append(f"{path.name} was damaged ({fault}); set aside as {set_aside(path).name}")
    if apart := len(found.readable) - len(mine):
        notices.append(
            f"{apart} records of other settings, data or code are in this run folder; left out"
        )
    again = tuple(record for record in mine if record.confirms)
    return Standing(plan=plan, kept=tuple(kept), again=again, notices=tuple(notices))


def set_aside(damaged: Location) -> Location:
    """Renames a damaged file so that its trial can run again, and returns the new path.

    Raises:
        StorageError: it cannot be renamed.
    """
    aside = damaged.with_suffix(".json.damaged")
    try:
        return rename(damaged, aside.name)
    except FileNotFoundError:  # another part of the run was faster
        return aside
    except OSError as error:
        raise storage_error(aside, 0, error) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """What trials learn from and are validated on, as tokens, and what the run folder says."""

    train: TokenSplit
    validation: TokenSplit
    study: StudyRecord


def make_ready(prepared: Experiment, notices: tuple[str, ...]) -> Ready:
    """Makes the tokens once for all trials."""
    clock = Stopwatch()
    with clock.span("tokenise"):
        train, validation = prepared.tokens("train"), prepared.tokens("validation")
    study = prepared.record(
        truncated=_truncated(train, validation),
        tokenise_seconds=clock.seconds["tokenise"],
        notices=notices,
    )
    return Ready(train=train, validation=validation, study=study)


def _truncated(*splits: TokenSplit) -> float:
    """Share of sequences that were cut."""
    return sum(split.truncated for split in splits) / sum(split.sequences for split in splits)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where trials run.

    Attributes:
        slots: on a Ray that has been started; ``None`` where nothing is to be computed.
        notices: what is to be told of it.
    """

    slots: Slots | None
    notices: tuple[str, ...]


@contextlib.contextmanager
def placed(
    prepared: Experiment, demand: Demand, weights: Weights | None, ready: Ready, searches: bool
) -> Iterator[Placed]:
    """Ray for as long as the context lasts, if there is something to compute.

    Args:
        prepared: the study.
        demand: what a trial is to be given.
        weights: of the pretrained model; ``None`` where there is nothing to compute.
        ready: what trials learn from.
        searches: whether trials of the search run, which may share a device.

    Raises:
        InputError: the cluster cannot serve the study.
    """
    insecure = [INSECURE] if demand.address and demand.insecure else []
    if weights is None:
        yield Placed(slots=None, notices=(*insecure, *_before(prepared.ledger)))
        return
    with cluster(demand) as slots:
        warnings = preflight(prepared, demand) if demand.address else ()
        chosen: str | None = None
        if searches:
            tokens = (ready.train, ready.validation)
            slots, chosen = settle(prepared, demand, slots, weights, tokens)
        choice = [chosen] if chosen else _before(prepared.ledger)
        yield Placed(slots=slots, notices=(*insecure, *warnings, *choice))


INSECURE = "ran with --insecure-cluster: the Ray cluster may let in whoever reaches it"


def _before(ledger: Ledger) -> list[str]:
    """How the part of a GPU was chosen when the trials ran that are there."""
    try:
        notices = ledger.study().notices
    except LedgerError:
        return []
    return [notice for notice in notices if notice.startswith(SAYS)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stages:
    """The stages of a run on a Ray that has been started.

    Attributes:
        prepared: the study.
        study: what the run folder says of it.
        weights: of the pretrained model.
        train: training questions.
        validation: validation questions.
        observe: told of every event.
        care: what is done about trials whose worker dies or hangs.
        fresh_workers: a new process for every trial.
    """

    prepared: Experiment
    study: StudyRecord
    weights: Weights
    train: TokenSplit
    validation: TokenSplit
    observe: Observer
    care: Care = USUAL_CARE
    fresh_workers: bool = False

    def search(
        self, plan: Plan, kept: Sequence[TrialRecord], slots: Slots, budget: Budget
    ) -> Searched:
        """Runs what is left of the search; without confirmation its chosen trials are tested.

        From a share of a search nothing is chosen: the others have to end first.
        """
        prepared = self.prepared

        def choose(records: list[TrialRecord]) -> list[Scoring]:
            if self.study.confirm or prepared.share.is_part:
                return []
            return self._chosen(records)

        return self._dispatcher(slots, budget).run(plan, kept, choose)

    def test(self, searched: Sequence[TrialRecord], slots: Slots) -> Searched:
        """Tests what is chosen from a search that has ended, without confirming it."""
        return self._dispatcher(slots, NO_BUDGET).run(NothingLeft(), searched, self._chosen)

    def _chosen(self, records: list[TrialRecord]) -> list[Scoring]:
        return self.scorings(frozen(self.prepared, records), records)

    def confirm(
        self, searched: Sequence[TrialRecord], again: Iterable[TrialRecord], slots: Slots
    ) -> Searched:
        """Runs what was frozen on fresh seeds, each with a device to itself, and tests it.

        Args:
            searched: the whole search.
            again: records of earlier runs with fresh seeds.
            slots: where one trial at a time has a device.
        """
        confirmation, kept = resume_confirmation(
            self.prepared, self.study, searched, again, self.observe
        )
        workers = slots.count if confirmation.left else 0
        self.observe(Frozen(freeze=confirmation.freeze, kept=tuple(kept), workers=workers))
        return self._dispatcher(slots, NO_BUDGET).run(
            confirmation,
            kept,
            lambda records: self.scorings(confirmation.freeze, records),
        )

    def scorings(self, freeze: Freeze, records: Iterable[TrialRecord]) -> list[Scoring]:
        """What is to be scored on test; only here is the seal of the test questions broken."""
        chosen = untested(self.study, freeze, records)
        if not chosen:
            return []
        test, data = self.prepared.test_tokens(freeze), self.study.splits["test"].fingerprint
        return [
            Scoring(spec=self.prepared.spec_of(record), test=test, data=data) for record in chosen
        ]

    def _dispatcher(self, slots: Slots, budget: Budget) -> Dispatcher:
        return Dispatcher(
            slots=slots,
            setup=worker_setup(
                self.prepared,
                self.weights,
                self.train,
                self.validation,
                slots,
                timeout=self.care.timeout,
            ),
            ledger=self.prepared.ledger,
            observe=self.observe,
            fresh_workers=self.fresh_workers,
            budget=budget,
            care=self.care,
        )


def frozen(prepared: Experiment, searched: Sequence[TrialRecord]) -> Freeze:
    """What is chosen from a search that has ended; written down if it was not yet.

    Raises:
        StorageError: it cannot be written.
    """
    file, before = prepared.study.file, prepared.ledger.freeze()
    now = make_freeze(searched, seed=file.seed, seeds=file.confirm)
    if before is not None and still_holds(before, now):
        return before
    return prepared.ledger.write_freeze(now)


def resume_confirmation(
    prepared: Experiment,
    study: StudyRecord,
    searched: Sequence[TrialRecord],
    again: Iterable[TrialRecord],
    observe: Observer = lambda event: None,
) -> tuple[Confirmation, list[TrialRecord]]:
    """The confirmation of a search, and the records of it that count."""
    freeze = frozen(prepared, searched)
    trials = {record.fingerprint: record for record in searched}

    def make_spec(candidate: Candidate, seed: int) -> TrialSpec:
        return prepared.spec_of(trials[candidate.fingerprint], seed=seed)

    def write(narrowed: Freeze, stopped: tuple[str, ...]) -> None:
        prepared.ledger.write_freeze(narrowed)
        observe(Narrowed(freeze=narrowed, stopped=stopped))

    confirmation = Confirmation(study, searched, freeze, make_spec=make_spec, write=write)
    kept = [record for record in again if freeze.chose(record) and confirmation.keep(record)]
    return confirmation, kept


def untested(
    study: StudyRecord, freeze: Freeze, records: Iterable[TrialRecord]
) -> list[TrialRecord]:
    """The trials of what was frozen that have not answered the test as it is now."""
    return [record for record in records if freeze.awaits(record) and not study.is_tested(record)]


ENDED_WELL = frozenset({Status.COMPLETED, Status.PRUNED, Status.SKIPPED})


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended.

    Attributes:
        run: all records that belong to the study.
        interrupted: whether trials or scorings are missing, and neither a budget nor another
            command that runs a share of the study is the reason.
        elsewhere: what other such commands have left to do, in words; ``None`` if nothing.
    """

    run: Run
    interrupted: bool
    elsewhere: str | None = None

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
        more_to_come = self.interrupted or self.elsewhere
        return (*broken, *(() if more_to_come else self.run.unanswered))


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a study is run; none of it changes a result.

    Attributes:
        budget: what the search may spend; a spent one still ends in tests and a report.
        care: what is done about trials whose worker dies or hangs.
        fresh_workers: a new process for every trial.
        search: whether to search; else what there is is confirmed and tested.
        trackers: experiment trackers that trials are shown in.
    """

    budget: Budget = NO_BUDGET
    care: Care = USUAL_CARE
    fresh_workers: bool = False
    search: bool = True
    trackers: tuple[str, ...] = ()


USUAL = Options()


def run_study(
    prepared: Experiment, demand: Demand, observe: Observer, options: Options = USUAL
) -> RunResult:
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
        stack.enter_context(prepared.ledger.lock(prepared.share))
        standing = resume(prepared, prepared.ledger.records())
        ready = _ready(prepared, standing, options)
        weights = _weights(prepared, ready.study, standing, options)
        place = stack.enter_context(placed(prepared, demand, weights, ready, options.search))
        slots = place.slots
        _check_budget(slots, options)
        told = ready.study.model_copy(update={"notices": (*ready.study.notices, *place.notices)})
        ready = replace(ready, study=prepared.ledger.write_study(told))
        observe = stack.enter_context(_tracked(prepared, options if slots else USUAL, observe))
        observe(_opened(ready, standing, slots, options))
        if not (slots and weights):
            return _close(prepared, _idle(prepared, standing, options))
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
        return _close(prepared, _through(stages, standing, slots, options))


def _check_budget(slots: Slots | None, options: Options) -> None:
    """Raises where a budget of GPU hours could never be spent."""
    hours = options.budget.gpu_hours
    if slots and hours is not None and not slots.gpus:
        raise StudyError(
            f"--max-gpu-hours {hours:g}: trials use no GPU here, so it would never be spent; use"
            " --time-budget, such as --time-budget 30m"
        )


def _ready(prepared: Experiment, standing: Standing, options: Options) -> Ready:
    """Tokens and the study's record; a command that does not search keeps how the search ended."""
    ready = make_ready(prepared, standing.notices)
    if options.search:
        return ready
    spent = {"budget_spent": prepared.ledger.study().budget_spent}
    return replace(ready, study=ready.study.model_copy(update=spent))


@dataclass(frozen=True, kw_only=True)
class _End:
    """How far a command came.

    Attributes:
        complete: whether all that is for it to do is done.
        elsewhere: see ``RunResult``.
    """

    complete: bool
    elsewhere: str | None = None


def _idle(prepared: Experiment, standing: Standing, options: Options) -> _End:
    """The end of a command that has nothing to compute."""
    awaited = prepared.awaited(standing.kept) if prepared.share.is_part else 0
    return _End(
        complete=not (options.search and standing.plan.left),
        elsewhere=_awaits(awaited) if awaited else None,
    )


def _through(stages: Stages, standing: Standing, slots: Slots, options: Options) -> _End:
    """Goes through all stages; after an interrupt no further one begins."""
    prepared, study = stages.prepared, stages.study
    searched = list(standing.kept)
    try:
        if options.search:
            found = stages.search(standing.plan, standing.kept, slots, options.budget)
            searched = found.records
            if found.budget_spent and not prepared.share.is_part:
                spent = {"budget_spent": found.budget_spent}
                prepared.ledger.write_study(study.model_copy(update=spent))
            broke_off = found.missing > 0 and found.budget_spent is None
            more = bool(study.confirm) or not _is_tested(stages, searched)
            if broke_off or (found.interrupted and more):
                return _End(complete=False)
        if prepared.share.is_part:
            over = found.budget_spent if options.search else None
            return _paused(prepared, over) if over else _together(stages, slots)
        complete = not study.confirm or _confirmed(stages, searched, standing.again, slots)
        return _End(complete=complete)
    except KeyboardInterrupt:  # between two stages, where Tune does not catch it
        return _End(complete=False)


def _confirmed(
    stages: Stages, searched: list[TrialRecord], again: Iterable[TrialRecord], slots: Slots
) -> bool:
    """Confirms and tests; whether that came to its end."""
    found = stages.confirm(searched, again, slots.alone)
    cut = found.interrupted and not _is_tested(stages, found.records)
    return not (found.missing or cut)


def _together(stages: Stages, slots: Slots) -> _End:
    """Confirms and tests a search whose every share has ended; one command of all does it.

    The last to end sees all records, so that there always is one.
    """
    prepared = stages.prepared
    found = [*prepared.ledger.records().readable.values()]
    if awaited := prepared.awaited(found):
        return _End(complete=True, elsewhere=_awaits(awaited))
    with prepared.ledger.closing() as is_mine:
        if not is_mine:
            return _End(complete=True, elsewhere="another share is confirming and testing")
        found = [*prepared.ledger.records().readable.values()]
        searched = prepared.searched(found)
        if stages.study.confirm:
            again = [record for record in prepared.mine(found) if record.confirms]
            return _End(complete=_confirmed(stages, searched, again, slots))
        tested = stages.test(searched, slots)
        return _End(complete=_is_tested(stages, tested.records))


def _paused(prepared: Experiment, spent: BudgetSpent) -> _End:
    """The end of a share whose budget is spent, after which no share can be the last one."""
    return _End(
        complete=True,
        elsewhere=(
            f"budget of {spent.budget} spent: the same command goes on with a fresh one; or confirm"
            f" what there is: paretune confirm {shlex.quote(str(prepared.ledger.folder))}"
        ),
    )


def _awaits(trials: int) -> str:
    """What is to be said while other shares are at work."""
    return (
        f"{trials} planned trials of the whole search have not ended: the share that ends last"
        " confirms, tests and reports"
    )


def _is_tested(stages: Stages, records: Iterable[TrialRecord]) -> bool:
    """Whether all that was frozen has answered the test questions."""
    freeze = stages.prepared.ledger.freeze()
    return freeze is not None and not untested(stages.study, freeze, records)


def write_report(ledger: Ledger, run: Run) -> None:
    """Writes every file of the report."""
    for name, content in render(run, importances(run)).items():
        write_whole(ledger.report_folder / name, content)


def _weights(
    prepared: Experiment, study: StudyRecord, standing: Standing, options: Options
) -> Weights | None:
    """The pretrained model; ``None`` where there is nothing left to compute.

    Raises:
        ModelError: it cannot be loaded, which is told before Ray starts.
    """
    searches = options.search and standing.plan.left
    waits = prepared.share.is_part and prepared.awaited(standing.kept)
    if searches or (not waits and _is_open(prepared, study, standing)):
        return Weights.of(prepared.source.backbone())
    return None


def _is_open(prepared: Experiment, study: StudyRecord, standing: Standing) -> bool:
    """Whether something that is or will be frozen has not been confirmed or tested."""
    if not study.confirm:
        return bool(untested(study, frozen(prepared, standing.kept), standing.kept))
    confirmation, kept = resume_confirmation(prepared, study, standing.kept, standing.again)
    return confirmation.left > 0 or bool(untested(study, confirmation.freeze, kept))


def _close(prepared: Experiment, end: _End) -> RunResult:
    """Writes the report, of shares the one that has confirmed and tested."""
    run = prepared.ledger.run()
    if end.elsewhere is None:
        write_report(prepared.ledger, run)
    return RunResult(run=run, interrupted=not end.complete, elsewhere=end.elsewhere)


def _tracked(
    prepared: Experiment, options: Options, observe: Observer
) -> AbstractContextManager[Observer]:
    """The observer that also tells trackers."""
    return track(options.trackers, prepared.study.name, prepared.ledger.folder, observe)


def _opened(ready: Ready, standing: Standing, slots: Slots | None, options: Options) -> Opened:
    mine = standing.plan.all_by_arm
    return Opened(
        study=ready.study,
        planned={arm: len(numbers) for arm, numbers in mine.items()},
        kept=tuple(record for record in standing.kept if record.number in mine[record.arm]),
        workers=slots.count if slots and standing.plan.left and options.search else 0,
        seconds=options.budget.seconds,
    )
