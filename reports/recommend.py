"""Which tested configuration to take under limits, and what is given up for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from scipy.special import stdtrit

from bench.records.study_record import StudyRecord
from reports.analysis import Analysis, Entry
from reports.leaderboard import BY_RANK
from reports.metrics import metric
from reports.metrics import tested as objective
from reports.statistics.pairwise import ALPHA, holm, p_of_no_difference
from reports.statistics.uncertainty import CONFIDENCE, Estimate, difference

Reached: TypeAlias = Literal["low", "mean"]


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Most that a configuration may have of one metric.

    Attributes:
        option: what it was asked by, such as ``--max-ms``.
        metric: its name in ``reports.metrics``.
        most: the largest value allowed.
    """

    option: str
    metric: str
    most: float

    def excess(self, entry: Entry) -> float:
        """The entry's figure as a multiple of the limit; infinite where it was not measured."""
        value = entry.cost(self.metric)
        return math.inf if value is None else value / self.most


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person asks of a configuration.

    Attributes:
        limits: that it has to keep.
        accuracy: mean test accuracy it has to reach, 0 … 1; ``None`` takes the highest.
    """

    limits: tuple[Limit, ...] = ()
    accuracy: float | None = None

    def within(self, entry: Entry) -> bool:
        """Whether an entry keeps all limits."""
        return all(limit.excess(entry) <= 1 for limit in self.limits)

    def reached(self, entry: Entry) -> bool:
        """Whether the mean of an entry is as high as was asked."""
        return self.accuracy is None or entry.accuracy.value >= self.accuracy

    def miss(self, entry: Entry) -> float:
        """How far an entry is from what it misses by most, as a multiple; 1 or less is a fit."""
        worst = max((limit.excess(entry) for limit in self.limits), default=0.0)
        if self.accuracy is None:
            return worst
        mean = entry.accuracy.value
        return max(worst, self.accuracy / mean if mean else math.inf)


@dataclass(frozen=True, kw_only=True)
class Versus:
    """The recommended configuration against another one.

    Attributes:
        other: the other one.
        difference: accuracy of the recommended one less that of the other.
        p: of no difference, corrected by Holm's method.
        is_different: whether the two can be told apart.
    """

    other: Entry
    difference: Estimate
    p: float
    is_different: bool


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A recommendation.

    Attributes:
        chosen: the configuration.
        among: how many keep the limits. Of more than one it was chosen by its test answers, so that
            its accuracy is optimistic.
        reached: whether ``low`` is as high as was asked, or its mean alone; ``None`` where nothing
            was asked.
        best: against the best one without limits; ``None`` if that is the chosen one.
        cheaper: against those that fit as well, train fewer parameters, and cannot be told apart
            from it; fewest parameters first.
    """

    chosen: Entry
    among: int
    reached: Reached | None
    best: Versus | None
    cheaper: tuple[Versus, ...]

    @property
    def low(self) -> float:
        """Lower end of its interval, widened for there having been a choice."""
        return lower_end(self.chosen.accuracy, self.among)


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No configuration fits.

    Attributes:
        excluded: by limit those that exceed it.
        inaccurate: those whose mean is lower than was asked.
        nearest: the one that misses by least.
    """

    excluded: tuple[tuple[Limit, tuple[Entry, ...]], ...]
    inaccurate: tuple[Entry, ...]
    nearest: Entry


def recommend(analysis: Analysis, wishes: Wishes) -> Advice | Nothing:
    """The configuration to take.

    Without an accuracy to reach it is the best one within the limits (see ``worth``), of equals the
    one that trains fewer parameters. With one it is the one that trains fewest parameters among
    those whose interval lies above it, widened for all that keep the limits (see ``lower_end``),
    or, if there is none, among those whose mean does.

    Args:
        analysis: with at least one entry.
        wishes: what is asked.
    """
    within = [entry for entry in analysis.entries if wishes.within(entry)]
    fitting = [entry for entry in within if wishes.reached(entry)]
    if not fitting:
        return _nothing(analysis.entries, wishes)
    good = partial(worth, study=analysis.run.study)
    reached: Reached | None = None
    if wishes.accuracy is None:
        chosen = max(fitting, key=good)
    else:
        chosen, reached = _smallest(fitting, wishes.accuracy, len(within))
    best = max(analysis.entries, key=good)
    against = versus(analysis, chosen)
    cheaper = (
        against[entry.confirmed.name]
        for entry in fitting
        if entry.confirmed.trained_parameters < chosen.confirmed.trained_parameters
    )
    return Advice(
        chosen=chosen,
        among=len(within),
        reached=reached,
        best=against.get(best.confirmed.name),
        cheaper=tuple(one for one in cheaper if not one.is_different),
    )


def lower_end(estimate: Estimate, among: int) -> float:
    """Lower end of an interval that holds for so many at once: 95 % together, after Bonferroni.

    The lower arm of the 95 % interval is stretched by t(1 − .025/N) / t(.975), Student's quantiles
    at the freedom of its error: exact of an interval by Student's t, near of Wilson's. Of 20 that
    are as accurate as is asked, one passes in about 2 % of runs, and in 8 % where seeds, five of
    them, move an accuracy by five points (simulated).

    Args:
        estimate: one of them.
        among: how many they are, at least 1; of 1 it is the end of the interval itself.
    """
    tail = (1 - CONFIDENCE) / 2
    widened, alone = stdtrit(estimate.freedom, [tail / among, tail])
    return estimate.value - (estimate.value - estimate.low) * float(widened / alone)


def worth(entry: Entry, study: StudyRecord) -> float:
    """How good an entry is by what the study searched, the larger the better.

    Its mean test accuracy; of another objective the median over its seeds, as the leaderboard has
    it.
    """
    name = objective(study)
    if name == BY_RANK:
        return entry.accuracy.value
    value = entry.cost(name)
    return -math.inf if value is None else -metric(name).sort_key(value)


def _smallest(fitting: Sequence[Entry], accuracy: float, among: int) -> tuple[Entry, Reached]:
    """Of entries that reach it, fewest parameters first; ``among`` is how many were looked at."""
    sure = [entry for entry in fitting if lower_end(entry.accuracy, among) >= accuracy]
    return (sure[0], "low") if sure else (fitting[0], "mean")


def _nothing(entries: Iterable[Entry], wishes: Wishes) -> Nothing:
    tested = tuple(entries)
    return Nothing(
        excluded=tuple(
            (limit, tuple(entry for entry in tested if limit.excess(entry) > 1))
            for limit in wishes.limits
        ),
        inaccurate=tuple(entry for entry in tested if not wishes.reached(entry)),
        nearest=min(tested, key=lambda entry: (wishes.miss(entry), -entry.accuracy.value)),
    )


def versus(analysis: Analysis, chosen: Entry) -> dict[str, Versus]:
    """An entry against every other one, by the other's name.

    Where both lead their arms, the figures are those of the analysis; the others are corrected by
    Holm's method among themselves.
    """
    found: dict[str, Versus] = {}
    left: list[tuple[Entry, Estimate, float]] = []
    for other in analysis.entries:
        if other is chosen:
            continue
        known = _of_leaders(analysis, chosen, other)
        if known:
            found[other.confirmed.name] = known
            continue
        first, second = chosen.confirmed.right("test"), other.confirmed.right("test")
        apart = difference(first, second)
        left.append((other, apart, p_of_no_difference(first, second, apart)))
    corrected = holm([p for *_, p in left])
    for (other, apart, _), p in zip(left, corrected, strict=True):
        found[other.confirmed.name] = Versus(
            other=other, difference=apart, p=float(p), is_different=bool(p < ALPHA)
        )
    return found


def _of_leaders(analysis: Analysis, chosen: Entry, other: Entry) -> Versus | None:
    """What the analysis says of two entries; ``None`` unless both lead their arms."""
    if chosen.rank is None or other.rank is None:
        return None
    for pair in analysis.pairs:
        if {pair.first, pair.second} == {chosen.arm, other.arm}:
            apart = pair.difference if pair.first == chosen.arm else turned(pair.difference)
            return Versus(
                other=other, difference=apart, p=pair.p_holm, is_different=pair.is_different
            )
    return None


def turned(apart: Estimate) -> Estimate:
    """The same difference, seen from the other side."""
    return replace(apart, value=-apart.value, low=-apart.high, high=-apart.low)
