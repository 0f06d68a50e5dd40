"""Successive halving per arm, asynchronous and for two objectives: who goes on from a rung."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import moocore

from bench.records.study_record import Halving
from bench.records.trial_record import Status, TrialRecord


class RungPoint(NamedTuple):
    """A trial at a rung: best objective on validation so far (↑), trained parameters (↓).

    The objective is the larger the better, see ``TrialRecord.rank``.
    """

    rank: float
    parameters: int


class Rungs:
    """Decides after which epochs which trials of an arm are stopped.

    Rungs lie after r, r·η, r·η² … epochs, as long as that is fewer than a whole trial's, with the
    grace r and the reduction factor η. A trial that reaches a rung is ranked at once, without
    waiting for any other, among all n trials of its arm that have reached it, whether they are
    running, have ended or were stopped. It goes on if its place is among the best
    max(1, ⌊n/η⌋). Arms are never compared.

    ⌊n/η⌋ is ASHA's number (Li et al. 2020, arXiv 1810.05934, algorithm 2, top |rung|/η). Since
    early trials are ranked among few, more than one in η goes on as it is; rounding up would add
    to that. At least one: a trial that is the best so far has no better one to make room for, so
    the first of an arm goes on (ASHA itself would let it wait). Ranking by fronts, as in
    multi-objective ASHA (Schmucker et al. 2021, arXiv 2106.12639): see ``ranking``.

    A trial keeps the place that it took first: one that reports a rung again, because its worker
    died after it, goes on and is not counted twice.

    Args:
        rule: ``None`` for no rung at all.
        epochs: of a whole trial.
    """

    def __init__(self, rule: Halving | None = None, epochs: int = 1) -> None:
        self._rule = rule
        self._epochs = epochs
        self.after = rule.rungs(epochs) if rule else ()
        self._reached: defaultdict[tuple[str, int], dict[str, RungPoint]] = defaultdict(dict)

    def judge(self, record: TrialRecord) -> str | None:
        """Ranks a running trial if it has reached a rung.

        Args:
            record: what it has come to.

        Returns:
            Why it is to be stopped; ``None`` if it goes on.
        """
        done = _epochs_done(record)
        if self._rule is None or done not in self.after:
            return None
        reached = self._reached[record.arm, done]
        if record.fingerprint in reached:
            return None
        reached[record.fingerprint] = _point(record, done)
        best = max(1, len(reached) // self._rule.reduction_factor)
        place = ranking(list(reached.values())).index(len(reached) - 1)
        if place < best:
            return None
        go_on = "the best goes on" if best == 1 else f"the best {best} go on"
        return (
            f"stopped after {done} of {self._epochs} epochs: place {place + 1} of {len(reached)}"
            f" in its arm, {go_on}"
        )

    def count(self, record: TrialRecord) -> None:
        """Gives a trial that has ended its place at every rung that it reached.

        One that ended without a result is withdrawn: it stands in nobody's way.
        """
        for done in self.after:
            reached = self._reached[record.arm, done]
            if record.accuracy is None:
                reached.pop(record.fingerprint, None)
            elif _epochs_done(record) >= done:
                reached.setdefault(record.fingerprint, _point(record, done))

    def void(self, record: TrialRecord) -> bool:
        """Whether a trial was stopped early where there is no rung."""
        return record.status is Status.PRUNED and _epochs_done(record) not in self.after


def ranking(points: Sequence[RungPoint]) -> list[int]:
    """Indices of the points, the best first; points come in order of arrival.

    By non-dominated front, within a front by crowding distance, the loneliest first (NSGA-II, Deb
    et al. 2002, doi:10.1109/4235.996017, section III). Where that leaves a choice the better comes
    first, because an arm is represented by its best trial; so the best trial of all always has the
    first place. Of equal points only the first to arrive has a distance, the others
    have 0: they add nothing and never beat it.
    """
    fronts = moocore.pareto_rank([(-point.rank, point.parameters) for point in points])
    members: defaultdict[int, set[RungPoint]] = defaultdict(set)
    for front, point in zip(fronts, points, strict=True):
        members[front].add(point)
    distances = {
        point: distance for front in members.values() for point, distance in crowding(front).items()
    }
    keys = [
        (int(front), -distances.pop(point, 0.0), -point.rank, index)
        for index, (front, point) in enumerate(zip(fronts, points, strict=True))
    ]
    return [index for *_, index in sorted(keys)]


def crowding(front: Iterable[RungPoint]) -> dict[RungPoint, float]:
    """Crowding distance of the distinct points of one front (Deb et al. 2002, section III B).

    The sum over both objectives of the gap between a point's two neighbours as a share of the
    front's width; infinite for the points at its ends.
    """
    distances = dict.fromkeys(front, 0.0)
    for axis in (0, 1):
        line = sorted(distances, key=lambda point: point[axis])
        # Distinct points of one front differ in both objectives: no width is 0 where it is used.
        width = line[-1][axis] - line[0][axis]
        distances[line[0]] = distances[line[-1]] = math.inf
        for before, point, after in zip(line, line[1:], line[2:], strict=False):
            distances[point] += (after[axis] - before[axis]) / width
    return distances


def _epochs_done(record: TrialRecord) -> int:
    return record.accuracy.epochs_done if record.accuracy else 0


def _point(record: TrialRecord, done: int) -> RungPoint:
    if record.accuracy is None or record.parameters is None:
        raise ValueError(f"{record.trial}: reached a rung without a result")
    best = max(map(record.rank, record.per_epoch[:done]))
    return RungPoint(rank=best, parameters=record.parameters.trained)
