"""Where each arm stands in the search: its best trial, its counts. The one selection rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bench.records.study_record import StudyRecord
from bench.records.trial_record import Status, TrialRecord
from reports.metrics import TrialFigure, metric, searched

FAILURES = (
    Status.FAILED, Status.OUT_OF_MEMORY, Status.DIVERGED, Status.TIMED_OUT, Status.QUARANTINED
)  # fmt: skip
"""Ends that count as failed; ``skipped`` and ``pruned`` are decisions, not failures."""


@dataclass(frozen=True, kw_only=True)
class ArmStanding:
    """One arm of a study, in the search.

    Attributes:
        arm: its name.
        strategy: its strategy's name.
        best: the chosen trial; ``None`` if no trial was completed.
        ends: finished trials by status.
        planned: planned trials; ``None`` if the study does not name the arm.
        reason: why the first trial without a result had none; stopped ones come last.
    """

    arm: str
    strategy: str
    best: TrialRecord | None
    ends: dict[Status, int]
    planned: int | None
    reason: str | None

    @property
    def completed(self) -> int:
        """Trials with a result."""
        return self.ends.get(Status.COMPLETED, 0)

    @property
    def failed(self) -> int:
        """Trials that broke off: failed, out of memory, diverged, timed out, in quarantine."""
        return sum(self.ends.get(status, 0) for status in FAILURES)

    @property
    def pruned(self) -> int:
        """Trials that were stopped early."""
        return self.ends.get(Status.PRUNED, 0)

    @property
    def missing(self) -> int:
        """Planned trials without a record."""
        return max(0, (self.planned or 0) - sum(self.ends.values()))

    def said(self) -> str:
        """The counts in words: ``3 completed, 1 diverged, 1 missing``."""
        parts = [f"{count} {status.replace('_', ' ')}" for status, count in self.ends.items()]
        return ", ".join(parts + ([f"{self.missing} missing"] if self.missing else []))


def completed(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that have a result."""
    return [
        record
        for record in records
        if record.status is Status.COMPLETED and record.accuracy and record.parameters
    ]


def stopped_early(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that were stopped at a rung, with what they had come to."""
    return [
        record
        for record in records
        if record.status is Status.PRUNED and record.accuracy and record.parameters
    ]


def best_trials(records: Iterable[TrialRecord]) -> dict[str, TrialRecord]:
    """The chosen trial of every arm that completed one, by arm name.

    Best objective on validation; of equals fewer trained parameters, then the lower number. Test
    scores play no part.
    """
    best: dict[str, TrialRecord] = {}
    for record in sorted(completed(records), key=_preference):
        best.setdefault(record.arm, record)
    return dict(sorted(best.items()))


def _preference(record: TrialRecord) -> tuple[float, int, int, str]:
    assert record.score is not None  # completed() saw to both
    assert record.parameters is not None
    return (
        -record.rank(record.score),
        record.parameters.trained,
        record.number,
        record.fingerprint,
    )


def in_order(study: StudyRecord, records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Records by arm as the study lists them, then by number and seed."""
    place = {arm: index for index, arm in enumerate(study.arms)}
    return sorted(
        records,
        key=lambda r: (place.get(r.arm, len(place)), r.arm, r.number, r.seed, r.fingerprint),
    )


def standings(
    study: StudyRecord, records: Iterable[TrialRecord], sort: str | None = None
) -> list[ArmStanding]:
    """All arms, the best first; arms without the figure last, in the study's order.

    Args:
        study: what was asked.
        records: finished trials of its search.
        sort: name of the metric of the chosen trial that decides; by default the study's
            objective on validation. Test scores play no part: ``reports.leaderboard`` orders by
            them.

    Raises:
        StudyError: there is no such metric.
    """
    ordered = in_order(study, records)
    best = best_trials(ordered)
    names = dict.fromkeys([*study.arms, *(record.arm for record in ordered)])
    rows = [_standing(study, arm, ordered, best.get(arm)) for arm in names]
    chosen = metric(sort or searched(study))
    return sorted(rows, key=lambda row: _place(row, chosen))


def _standing(
    study: StudyRecord, arm: str, ordered: list[TrialRecord], best: TrialRecord | None
) -> ArmStanding:
    own = [record for record in ordered if record.arm == arm]
    counts = Counter(record.status for record in own)
    told = sorted(own, key=lambda record: record.status is Status.PRUNED)
    reasons = (record.reason for record in told if record.reason)
    return ArmStanding(
        arm=arm,
        strategy=study.arms.get(arm) or own[0].strategy,
        best=best,
        ends={status: counts[status] for status in Status if counts[status]},
        planned=study.planned.get(arm),
        reason=next(reasons, None),
    )


def _place(row: ArmStanding, chosen: TrialFigure) -> tuple[bool, float, float]:
    value = None if row.best is None else chosen.read(row.best)
    if value is None or row.best is None:
        return (True, 0.0, 0.0)
    return (False, chosen.sort_key(value), metric("trained_parameters").read(row.best) or 0.0)
