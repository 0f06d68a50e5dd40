"""How much of the plane of accuracy and trained parameters a front dominates.

The plane is (1 − accuracy, log10 trained parameters), both to be small; what counts is the share of
the box between (0, 0) and the reference (1 − chance, log10 of all parameters with the head).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import moocore
import numpy as np
import numpy.typing as npt

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports.standings import completed
from reports.statistics.resamples import Draws
from reports.statistics.uncertainty import CONFIDENCE

Point: TypeAlias = tuple[float, float]
"""1 − accuracy and log10 of the trained parameters."""


@dataclass(frozen=True, kw_only=True)
class Hypervolume:
    """Share of the plane (1 - accuracy, log10 trained parameters) that a front dominates.

    Attributes:
        value: 0 … 1, of the box between the reference and (0, 0).
        low: lower end of its 95 % interval; ``None`` where it has none.
        high: upper end.
        reference: 1 - chance, and log10 of all parameters with the head.
    """

    value: float
    low: float | None
    high: float | None
    reference: tuple[float, float]


def reference_of(run: Run) -> Point:
    """The worst corner: guessing, with every parameter of backbone and head trained."""
    heads = [r.parameters.head for r in completed(run.searched) if r.parameters]
    return 1 - run.study.chance, math.log10(run.study.total_parameters + max(heads, default=0))


def hypervolume(accuracies: npt.ArrayLike, parameters: Sequence[int], reference: Point) -> float:
    """Share of the box that points dominate; those beyond the reference add nothing.

    Args:
        accuracies: per point, at least one.
        parameters: trained, per point.
        reference: see ``reference_of``.
    """
    return _share(np.column_stack((1 - np.asarray(accuracies), np.log10(parameters))), reference)


def _share(plane: npt.NDArray[np.float64], reference: Point) -> float:
    return float(moocore.hypervolume(plane, ref=reference)) / math.prod(reference)


def with_interval(
    accuracies: npt.ArrayLike, parameters: Sequence[int], draws: Draws, reference: Point
) -> Hypervolume:
    """Hypervolume of estimates with the 95 % interval that resamples give.

    The best of many noisy accuracies is too high, in the estimates as against the truth and in the
    draws as against the estimates. So the quantiles of the draws are mirrored at the estimate (the
    basic bootstrap; Davison & Hinkley 1997, section 5.2).

    Args:
        accuracies: the estimates, at least one.
        parameters: trained, per candidate.
        draws: resampled accuracies, ``(draws, candidates)``.
        reference: see ``reference_of``.
    """
    value = hypervolume(accuracies, parameters, reference)
    drawn = [hypervolume(row, parameters, reference) for row in draws]
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Hypervolume(
        value=value,
        low=max(0.0, 2 * value - float(high)),
        high=min(1.0, 2 * value - float(low)),
        reference=reference,
    )


def by_trial(run: Run) -> dict[str, tuple[float, ...]]:
    """Hypervolume of the search so far, on validation, after each trial number.

    Item ``n`` is that of the trials numbered 0 … n, per arm and, under "", of all arms together.
    Trials without a result add nothing. Empty if no trial was completed.

    Args:
        run: all records.
    """
    if not completed(run.searched):
        return {}
    reference = reference_of(run)
    groups: dict[str, list[TrialRecord]] = {"": list(run.searched)}
    for record in run.searched:
        groups.setdefault(record.arm, []).append(record)
    return {arm: _curve(groups[arm], reference) for arm in sorted(groups)}


def _curve(records: Sequence[TrialRecord], reference: Point) -> tuple[float, ...]:
    points: dict[int, list[Point]] = {}
    for record in completed(records):
        assert record.accuracy is not None  # completed() saw to both
        assert record.parameters is not None
        point = 1 - record.accuracy.validation, math.log10(record.parameters.trained)
        points.setdefault(record.number, []).append(point)
    front, value, found = np.empty((0, 2)), 0.0, []
    for number in range(1 + max(record.number for record in records)):
        for point in points.get(number, ()):
            if not (front <= point).all(axis=1).any():
                front = moocore.filter_dominated(np.vstack((front, point)))
                value = _share(front, reference)
        found.append(value)
    return tuple(found)
