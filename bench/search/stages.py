"""What all stages of a run share, and what each of them does: search, freeze, confirm, test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.record import TrialRecord
from bench.search.agenda import NothingLeft
from bench.search.budget import NO_BUDGET, Budget
from bench.search.care import USUAL_CARE, Care
from bench.search.confirmation import Confirmation
from bench.search.dispatch import Dispatcher, Searched
from bench.search.events import Frozen, Narrowed, Observer
from bench.search.freeze import make_freeze, still_holds
from bench.search.plan import Plan
from bench.search.prepared import Prepared
from bench.search.slots import Slots
from bench.search.worker import Scoring, WorkerSetup
from bench.spec import TrialSpec
from bench.study_record import Candidate, Freeze, StudyRecord
from bench.tokens import TokenSplit
from bench.weights import Weights


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

    prepared: Prepared
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


def frozen(prepared: Prepared, searched: Sequence[TrialRecord]) -> Freeze:
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
    prepared: Prepared,
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


def worker_setup(
    prepared: Prepared,
    weights: Weights,
    train: TokenSplit,
    validation: TokenSplit,
    slots: Slots,
    *,
    timeout: float | None = None,
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
        timeout=timeout,
        share=(slots.cpus, slots.gpus) if slots.look and slots.workers != 1 else None,
    )
