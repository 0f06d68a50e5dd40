"""Run a study from wherever its ledger stands to a written report.

Resume, find where trials run, search, freeze, confirm on fresh seeds, test once, report.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from bench.cluster.join import cluster
from bench.cluster.slots import Slots
from bench.data.tokens import TokenSplit
from bench.doctor.examine import preflight
from bench.errors import LedgerError, StudyError
from bench.pretrained.shared_weights import Weights
from bench.records.events import Frozen, Narrowed, Observer, Opened
from bench.records.spec import TrialSpec
from bench.records.study_record import BudgetSpent, Candidate, Freeze, Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import Location, rename, storage_error
from bench.storage.ledger import Ledger
from bench.study.experiment import Experiment
from bench.study.run_options import RunOptions
from bench.trackers.base import make_trackers, track
from bench.training.measure import Stopwatch
from bench.tune.confirmation import Confirmation, make_freeze, still_holds
from bench.tune.driver import Searched, run_plan
from bench.tune.gpu_share import SAYS, settle
from bench.tune.plan import Agenda, NothingLeft, Plan, make_plan
from bench.tune.report import write_report
from bench.tune.test_scoring import Choose
from bench.tune.worker import Scoring, worker_setup

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


@dataclass(frozen=True, kw_only=True, eq=False)
class RunContext:
    """A run of a study: everything between what was asked and its workers.

    Attributes:
        experiment: the study, whose inputs exist.
        options: how it is run.
        observe: told of every event.
        searches: whether to search; else what there is is confirmed and tested.
        plan: what is left of the search.
        kept: records of the search that count.
        again: records with fresh seeds.
        train: training examples, as tokens.
        validation: validation examples.
        study: what the run folder says of it.
        weights: of the pretrained model; ``None`` where nothing is to be computed.
        slots: where trials run, on a Ray that has been started; ``None`` likewise.
    """

    experiment: Experiment
    options: RunOptions
    observe: Observer
    searches: bool
    plan: Plan
    kept: tuple[TrialRecord, ...]
    again: tuple[TrialRecord, ...]
    train: TokenSplit
    validation: TokenSplit
    study: StudyRecord
    weights: Weights | None = None
    slots: Slots | None = None

    @property
    def ledger(self) -> Ledger:
        """The run folder."""
        return self.experiment.ledger

    @property
    def is_part(self) -> bool:
        """Whether other commands run shares of the same search."""
        return self.experiment.share.is_part

    def run(
        self, plan: Agenda, kept: Sequence[TrialRecord], choose: Choose, slots: Slots,
        options: RunOptions,
    ) -> Searched:  # fmt: skip
        """Runs a plan on these slots, and scores what is chosen."""
        assert self.weights is not None
        setup = worker_setup(
            self.experiment, self.weights, self.train, self.validation, slots, options.trial_timeout
        )
        return run_plan(plan, kept, choose, setup, slots, self.ledger, self.observe, options)

    def search(self, slots: Slots) -> Searched:
        """Runs what is left of the search; without confirmation its chosen trials are tested.

        From a share of a search nothing is chosen: the others have to end first.
        """

        def choose(records: list[TrialRecord]) -> list[Scoring]:
            return [] if self.study.confirm or self.is_part else self.chosen(records)

        return self.run(self.plan, self.kept, choose, slots, self.options)

    def test(self, searched: Sequence[TrialRecord], slots: Slots) -> Searched:
        """Tests what is chosen from a search that has ended, without confirming it."""
        return self.run(NothingLeft(), searched, self.chosen, slots, self.options.without_budget)

    def chosen(self, records: list[TrialRecord]) -> list[Scoring]:
        """What is to be tested of a search that has ended."""
        return self.scorings(make_or_keep_freeze(self.experiment, records), records)

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
            self.experiment, self.study, searched, again, self.observe
        )
        workers = slots.count if confirmation.left else 0
        self.observe(Frozen(freeze=confirmation.freeze, kept=tuple(kept), workers=workers))

        def choose(records: list[TrialRecord]) -> list[Scoring]:
            return self.scorings(confirmation.freeze, records)

        return self.run(confirmation, kept, choose, slots, self.options.without_budget)

    def scorings(self, freeze: Freeze, records: Iterable[TrialRecord]) -> list[Scoring]:
        """What is to be scored on test; only here is the seal of the test questions broken."""
        waiting = untested(self.study, freeze, records)
        if not waiting:
            return []
        test, data = self.experiment.test_tokens(freeze), self.study.splits["test"].fingerprint
        return [
            Scoring(spec=self.experiment.spec_of(record), test=test, data=data)
            for record in waiting
        ]

    def is_tested(self, records: Iterable[TrialRecord]) -> bool:
        """Whether all that was frozen has answered the test questions."""
        freeze = self.ledger.freeze()
        return freeze is not None and not untested(self.study, freeze, records)


def run_study(
    experiment: Experiment, options: RunOptions, observe: Observer, *, searches: bool = True
) -> RunResult:
    """Runs what the ledger lacks: searches, freezes, confirms, tests, and writes the report.

    Args:
        experiment: the study.
        options: how and where to run it.
        observe: told of every event.
        searches: whether to search; else what there is is confirmed and tested.

    Raises:
        InputError: the cluster cannot serve it, or the folder is in use.
        StorageError: the run folder cannot be written.
    """
    with ExitStack() as stack:
        stack.enter_context(experiment.ledger.lock(experiment.share))
        context = resume(experiment, options, observe, searches)
        context = replace(context, weights=_weights(context))
        context = stack.enter_context(place(context))
        trackers = make_trackers(options.track) if context.slots else ()
        name, folder = context.study.name, context.ledger.folder
        observe = stack.enter_context(track(trackers, name, folder, observe))
        context = replace(context, observe=observe)
        observe(_opening(context))
        return _close(context, _stages(context) if context.slots else _idle(context))


def resume(
    experiment: Experiment, options: RunOptions, observe: Observer, searches: bool
) -> RunContext:
    """Compares the records with the plan; damaged files are set aside, so that they run again."""
    found, plan = experiment.ledger.records(), make_plan(experiment)
    mine = experiment.mine(found.readable.values())
    kept = [record for record in experiment.searched(mine) if plan.keep(record)]
    notices = []
    for path, fault in found.damaged.items():
        notices.append(f"{path.name} was damaged ({fault}); set aside as {set_aside(path).name}")
    if apart := len(found.readable) - len(mine):
        notices.append(
            f"{apart} records of other settings, data or code are in this run folder; left out"
        )
    clock = Stopwatch()
    with clock.span("tokenise"):
        train, validation = experiment.tokens("train"), experiment.tokens("validation")
    study = experiment.record(
        truncated=_truncated(train, validation),
        tokenise_seconds=clock.seconds["tokenise"],
        notices=tuple(notices),
    )
    if not searches:  # how the search ended stays
        spent = {"budget_spent": experiment.ledger.study().budget_spent}
        study = study.model_copy(update=spent)
    return RunContext(
        experiment=experiment,
        options=options,
        observe=observe,
        searches=searches,
        plan=plan,
        kept=tuple(kept),
        again=tuple(record for record in mine if record.confirms),
        train=train,
        validation=validation,
        study=study,
    )


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


def _truncated(*splits: TokenSplit) -> float:
    """Share of sequences that were cut."""
    return sum(split.truncated for split in splits) / sum(split.sequences for split in splits)


def _weights(context: RunContext) -> Weights | None:
    """The pretrained model; ``None`` where there is nothing left to compute.

    Raises:
        ModelError: it cannot be loaded, which is told before Ray starts.
    """
    experiment = context.experiment
    searches = context.searches and context.plan.left
    waits = context.is_part and experiment.awaited(context.kept)
    if searches or (not waits and _is_open(context)):
        return Weights.of(experiment.source.backbone())
    return None


def _is_open(context: RunContext) -> bool:
    """Whether something that is or will be frozen has not been confirmed or tested."""
    experiment, study, kept = context.experiment, context.study, context.kept
    if not study.confirm:
        return bool(untested(study, make_or_keep_freeze(experiment, kept), kept))
    confirmation, again = resume_confirmation(experiment, study, kept, context.again)
    return confirmation.left > 0 or bool(untested(study, confirmation.freeze, again))


@contextlib.contextmanager
def place(context: RunContext) -> Iterator[RunContext]:
    """Ray for as long as the context lasts, if there is something to compute.

    The run folder then says what is run, and where it was found to run.

    Raises:
        InputError: the cluster cannot serve the study.
    """
    options, ledger = context.options, context.ledger
    notices = [INSECURE] if options.address and options.insecure_cluster else []
    with ExitStack() as stack:
        chosen, slots = None, None
        if context.weights is not None:
            slots = stack.enter_context(cluster(options))
            notices += preflight(context.experiment, options) if options.address else ()
            if context.searches:
                tokens = (context.train, context.validation)
                slots, chosen = settle(context.experiment, options, slots, context.weights, tokens)
            if (hours := options.max_gpu_hours) is not None and not slots.gpus:
                raise StudyError(
                    f"--max-gpu-hours {hours:g}: trials use no GPU here, so it would never be"
                    " spent; use --time-budget, such as --time-budget 30m"
                )
        notices += [chosen] if chosen else _before(ledger)
        told = {"notices": (*context.study.notices, *notices)}
        study = ledger.write_study(context.study.model_copy(update=told))
        yield replace(context, study=study, slots=slots)


INSECURE = "ran with --insecure-cluster: the Ray cluster may let in whoever reaches it"


def _before(ledger: Ledger) -> list[str]:
    """How the part of a GPU was chosen when the trials ran that are there."""
    try:
        notices = ledger.study().notices
    except LedgerError:
        return []
    return [notice for notice in notices if notice.startswith(SAYS)]


def _opening(context: RunContext) -> Opened:
    mine, slots = context.plan.all_by_arm, context.slots
    time_budget = context.options.time_budget
    return Opened(
        study=context.study,
        planned={arm: len(numbers) for arm, numbers in mine.items()},
        kept=tuple(record for record in context.kept if record.number in mine[record.arm]),
        workers=slots.count if slots and context.plan.left and context.searches else 0,
        seconds=time_budget.seconds if time_budget else None,
    )


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How far a command came.

    Attributes:
        complete: whether all that is for it to do is done.
        elsewhere: see ``RunResult``.
    """

    complete: bool
    elsewhere: str | None = None


def _idle(context: RunContext) -> RunEnd:
    """The end of a command that has nothing to compute."""
    awaited = context.experiment.awaited(context.kept) if context.is_part else 0
    return RunEnd(
        complete=not (context.searches and context.plan.left),
        elsewhere=_awaits(awaited) if awaited else None,
    )


def _stages(context: RunContext) -> RunEnd:
    """Goes through all stages; after an interrupt no further one begins."""
    study, slots, searched = context.study, context.slots, list(context.kept)
    assert slots is not None
    try:
        over = None
        if context.searches:
            found = context.search(slots)
            searched, over = found.records, found.budget_spent
            if over and not context.is_part:
                context.ledger.write_study(study.model_copy(update={"budget_spent": over}))
            broke_off = found.missing > 0 and over is None
            more = bool(study.confirm) or not context.is_tested(searched)
            if broke_off or (found.interrupted and more):
                return RunEnd(complete=False)
        if context.is_part:
            return _paused(context.experiment, over) if over else _together(context, slots)
        complete = not study.confirm or _confirm(context, searched, context.again, slots)
        return RunEnd(complete=complete)
    except KeyboardInterrupt:  # between two stages, where Tune does not catch it
        return RunEnd(complete=False)


def _confirm(
    context: RunContext, searched: list[TrialRecord], again: Iterable[TrialRecord], slots: Slots
) -> bool:
    """Confirms and tests; whether that came to its end."""
    found = context.confirm(searched, again, slots.alone)
    cut = found.interrupted and not context.is_tested(found.records)
    return not (found.missing or cut)


def _together(context: RunContext, slots: Slots) -> RunEnd:
    """Confirms and tests a search whose every share has ended; one command of all does it.

    The last to end sees all records, so that there always is one.
    """
    experiment, ledger = context.experiment, context.ledger
    found = [*ledger.records().readable.values()]
    if awaited := experiment.awaited(found):
        return RunEnd(complete=True, elsewhere=_awaits(awaited))
    with ledger.closing() as is_mine:
        if not is_mine:
            return RunEnd(complete=True, elsewhere="another share is confirming and testing")
        found = [*ledger.records().readable.values()]
        searched = experiment.searched(found)
        if context.study.confirm:
            again = [record for record in experiment.mine(found) if record.confirms]
            return RunEnd(complete=_confirm(context, searched, again, slots))
        tested = context.test(searched, slots)
        return RunEnd(complete=context.is_tested(tested.records))


def _paused(experiment: Experiment, spent: BudgetSpent) -> RunEnd:
    """The end of a share whose budget is spent, after which no share can be the last one."""
    return RunEnd(
        complete=True,
        elsewhere=(
            f"budget of {spent.budget} spent: the same command goes on with a fresh one; or confirm"
            f" what there is: paretune confirm {shlex.quote(str(experiment.ledger.folder))}"
        ),
    )


def _awaits(trials: int) -> str:
    """What is to be said while other shares are at work."""
    return (
        f"{trials} planned trials of the whole search have not ended: the share that ends last"
        " confirms, tests and reports"
    )


def make_or_keep_freeze(experiment: Experiment, searched: Sequence[TrialRecord]) -> Freeze:
    """What is chosen from a search that has ended; written down if it was not yet.

    Raises:
        StorageError: it cannot be written.
    """
    file, before = experiment.study.file, experiment.ledger.freeze()
    now = make_freeze(searched, seed=file.seed, seeds=file.confirm)
    if before is not None and still_holds(before, now):
        return before
    return experiment.ledger.write_freeze(now)


def resume_confirmation(
    experiment: Experiment,
    study: StudyRecord,
    searched: Sequence[TrialRecord],
    again: Iterable[TrialRecord],
    observe: Observer = lambda event: None,
) -> tuple[Confirmation, list[TrialRecord]]:
    """The confirmation of a search, and the records of it that count."""
    freeze = make_or_keep_freeze(experiment, searched)
    trials = {record.fingerprint: record for record in searched}

    def make_spec(candidate: Candidate, seed: int) -> TrialSpec:
        return experiment.spec_of(trials[candidate.fingerprint], seed=seed)

    def write(narrowed: Freeze, stopped: tuple[str, ...]) -> None:
        experiment.ledger.write_freeze(narrowed)
        observe(Narrowed(freeze=narrowed, stopped=stopped))

    confirmation = Confirmation(study, searched, freeze, make_spec=make_spec, write=write)
    kept = [record for record in again if freeze.chose(record) and confirmation.keep(record)]
    return confirmation, kept


def untested(
    study: StudyRecord, freeze: Freeze, records: Iterable[TrialRecord]
) -> list[TrialRecord]:
    """The trials of what was frozen that have not answered the test as it is now."""
    return [record for record in records if freeze.awaits(record) and not study.is_tested(record)]


def _close(context: RunContext, end: RunEnd) -> RunResult:
    """Writes the report, of shares the one that has confirmed and tested."""
    run = context.ledger.run()
    if end.elsewhere is None:
        write_report(context.ledger, run)
    return RunResult(run=run, interrupted=not end.complete, elsewhere=end.elsewhere)
