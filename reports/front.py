"""The Pareto front: completed trials that no other beats in accuracy and trained parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import moocore

from bench.record import TrialRecord
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
        (record, record.accuracy.validation, record.parameters.trained)
        for record in completed(records)
        if record.accuracy and record.parameters
    ]
    if not plane:
        return []
    losses = [(-accuracy, float(parameters)) for _, accuracy, parameters in plane]
    on_front = moocore.is_nondominated(losses, keep_weakly=True)
    found = [
        Point(record=record, accuracy=accuracy, trained_parameters=parameters, on_front=bool(flag))
        for (record, accuracy, parameters), flag in zip(plane, on_front, strict=True)
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
