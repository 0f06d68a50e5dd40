"""The Pareto front: completed trials that none beats in the objective and trained parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import moocore

from bench.records.trial_record import TrialRecord
from reports.standings import completed


@dataclass(frozen=True, kw_only=True)
class Point:
    """A completed trial in the plane of the front.

    Attributes:
        record: the trial.
        accuracy: on validation, 0 … 1.
        trained_parameters: head included.
        on_front: whether no trial is at least as good in both and better in one; equal points
            are on the front together.
    """

    record: TrialRecord
    accuracy: float
    trained_parameters: int
    on_front: bool


def points(records: Iterable[TrialRecord]) -> list[Point]:
    """All completed trials, fewest trained parameters first, of equals the more accurate first."""
    plane = [
        (record, record.rank(record.score), record.parameters.trained)
        for record in completed(records)
        if record.score is not None and record.parameters
    ]
    if not plane:
        return []
    losses = [(-rank, float(parameters)) for _, rank, parameters in plane]
    on_front = moocore.is_nondominated(losses, keep_weakly=True)
    found = [
        Point(
            record=record,
            accuracy=record.accuracy.validation,
            trained_parameters=parameters,
            on_front=bool(flag),
        )
        for (record, _, parameters), flag in zip(plane, on_front, strict=True)
        if record.accuracy
    ]
    return sorted(found, key=_order)


def _order(point: Point) -> tuple[int, float, str, int, str]:
    record = point.record
    return (
        point.trained_parameters,
        -point.accuracy,
        record.arm,
        record.number,
        record.fingerprint,
    )
