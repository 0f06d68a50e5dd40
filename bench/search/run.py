"""Run a prepared study from wherever its ledger stands to a written report."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from bench.clock import Stopwatch
from bench.errors import LedgerError
from bench.ledger import Ledger, Records, set_aside, write_whole
from bench.record import Status, StudyRecord, TestScore, TrialRecord
from bench.search.cluster import Demand, Slots, cluster
from bench.search.dispatch import Dispatcher
from bench.search.events import Observer, Opened, Scored
from bench.search.plan import Plan
from bench.search.prepare import Prepared
from bench.search.worker import WorkerSetup
from bench.tokens import TokenSplit, tokenise
from reports.standings import best_trials
from reports.write import render

ENDED_WELL = frozenset({Status.COMPLETED, Status.PRUNED, Status.SKIPPED})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        study: what was asked.
        records: one per trial that has ended, of this study and these settings.
        interrupted: whether planned trials have not ended.
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
    prepared: Prepared, demand: Demand, observe: Observer, *, fresh_workers: bool = False
) -> Outcome:
    """Runs what the ledger lacks, scores the chosen trials on test, writes the report.

    Args:
        prepared: the study.
        demand: where to run it.
        observe: told of every event.
        fresh_workers: a new process for every trial.

    Raises:
        InputError: the cluster cannot serve it, or the folder is in use.
    """
    ledger = prepared.ledger
    with ExitStack() as stack:
        stack.enter_context(ledger.lock())
        standing = _resume(prepared, ledger.records())
        slots: Slots | None = None
        if standing.plan.left or _untested(prepared, standing.kept):
            prepared.source.backbone()  # weights that cannot be loaded are told now, not per trial
            slots = stack.enter_context(cluster(demand))
        ready = _make_ready(prepared, standing.notices)
        ledger.write_study(ready.study)
        workers = slots.count if slots and standing.plan.left else 0
        observe(Opened(study=ready.study, kept=standing.kept, workers=workers))
        records = list(standing.kept)
        if slots is not None:
            dispatcher = Dispatcher(
                slots=slots,
                setup=_setup(prepared, ready, slots),
                ledger=ledger,
                observe=observe,
                fresh_workers=fresh_workers,
            )
            records = _run_rest(prepared, dispatcher, standing)
        write_report(ledger, ready.study, records)
        interrupted = len(records) < sum(prepared.planned.values())
        return Outcome(study=ready.study, records=tuple(records), interrupted=interrupted)


def write_report(ledger: Ledger, study: StudyRecord, records: Iterable[TrialRecord]) -> None:
    """Writes every file of the report."""
    for name, content in render(study, list(records)).items():
        write_whole(ledger.report_folder / name, content)


def study_records(ledger: Ledger) -> tuple[StudyRecord, list[TrialRecord]]:
    """A run folder's study and the trials that belong to it.

    Raises:
        LedgerError: it is no run folder, or records are damaged.
    """
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
    kept = [r for r in mine if r.number < prepared.planned[r.arm] and plan.keep(r)]
    notices = []
    for path, fault in found.damaged.items():
        notices.append(f"{path.name} was damaged ({fault}); set aside as {set_aside(path).name}")
    if apart := len(found.readable) - len(mine):
        notices.append(
            f"{apart} records of other settings, data or code are in this run folder; left out"
        )
    return _Standing(plan=plan, kept=tuple(kept), notices=tuple(notices))


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
        train, validation = _tokens(prepared, "train"), _tokens(prepared, "validation")
    study = prepared.record(
        truncated=_truncated(train, validation),
        tokenise_seconds=clock.seconds["tokenise"],
        notices=notices,
    )
    return _Ready(train=train, validation=validation, study=study)


def _run_rest(prepared: Prepared, dispatcher: Dispatcher, standing: _Standing) -> list[TrialRecord]:
    """Runs what is left; the chosen are scored on test only once every planned trial has ended."""
    records = [*standing.kept, *dispatcher.run(standing.plan)]
    if len(records) < sum(prepared.planned.values()):
        return records
    return _score(prepared, dispatcher, records)


def _score(
    prepared: Prepared, dispatcher: Dispatcher, records: list[TrialRecord]
) -> list[TrialRecord]:
    """Scores the chosen trials on test; only here are the test questions made into tokens."""
    arms = {arm.name: arm for arm in prepared.study.arms}
    chosen = {record.fingerprint: record for record in _untested(prepared, records)}
    specs = [
        prepared.spec(arms[r.arm], r.number, {k: r.values[k] for k in arms[r.arm].space.knobs})
        for r in chosen.values()
    ]
    data = prepared.dataset.fingerprint("test")
    scored: dict[str, TrialRecord] = {}
    for fingerprint, score in dispatcher.score(specs, _tokens(prepared, "test"), data):
        if isinstance(score, TestScore):
            record = chosen[fingerprint].model_copy(update={"test": score, "reason": None})
        else:
            reason = f"could not be scored on test: {score}"
            record = chosen[fingerprint].model_copy(update={"reason": reason})
        dispatcher.ledger.write(record)
        dispatcher.observe(Scored(record=record))
        scored[fingerprint] = record
    return [scored.get(record.fingerprint, record) for record in records]


def _tokens(prepared: Prepared, split: str) -> TokenSplit:
    return tokenise(
        prepared.dataset.splits[split], prepared.tokenizer, prepared.study.file.max_length
    )


def _truncated(*splits: TokenSplit) -> float:
    """Share of sequences that were cut."""
    return sum(split.truncated for split in splits) / sum(split.sequences for split in splits)


def _setup(prepared: Prepared, ready: _Ready, slots: Slots) -> WorkerSetup:
    return WorkerSetup(
        model=prepared.source.address,
        model_fingerprint=prepared.source.fingerprint,
        train=ready.train,
        validation=ready.validation,
        precision=prepared.study.file.precision,
        threads=max(1, int(slots.cpus)),
        use_gpu=slots.gpus > 0,
        device_shared=slots.device_shared,
        folder=prepared.ledger.folder.absolute(),
    )
