"""Which arms can be told apart: every two compared on the same questions, corrected by Holm."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, chdtrc, stdtr, stdtrit

from reports.repeats import Right
from reports.statistics.uncertainty import Estimate, difference

ALPHA = 0.05
"""Probability of calling two equal arms different, over all pairs together."""

POWER = 0.8
"""Probability of finding the difference called detectable."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms' chosen configurations compared on the same test questions.

    Attributes:
        first: arm that stands higher on the leaderboard.
        second: the other.
        difference: accuracy of the first less that of the second, with its 95 % interval.
        p: of no difference: over seeds and questions, or, with one seed each, exact McNemar's.
        p_holm: the same, corrected for all pairs by Holm's method.
        is_different: whether ``p_holm`` is below .05.
        detectable: difference that would be found with 80 % power, at 5 % uncorrected.
        mcnemar: how many of the runs with equal seeds McNemar's exact test tells apart at 5 %,
            of how many.
    """

    first: str
    second: str
    difference: Estimate
    p: float
    p_holm: float
    is_different: bool
    detectable: float
    mcnemar: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ArmAnswers:
    """What one arm's chosen configuration answered.

    Attributes:
        arm: its name.
        parameters: trained.
        seeds: of its runs.
        right: ``(seeds, questions)``, the same questions for all arms.
    """

    arm: str
    parameters: int
    seeds: tuple[int, ...]
    right: Right


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arms ranked by what can be told apart.

    Attributes:
        ranks: per arm, in the order of the leaderboard.
        pairs: every two of them, in that order.
        cochran_p: see ``cochran``.
    """

    ranks: Mapping[str, int]
    pairs: tuple[Pair, ...]
    cochran_p: tuple[float, ...]

    @property
    def detectable(self) -> float | None:
        """Median of the pairs' detectable differences; ``None`` without pairs."""
        found = [pair.detectable for pair in self.pairs]
        return statistics.median(found) if found else None


def compare(arms: Sequence[ArmAnswers]) -> Comparison:
    """Compares every two arms and ranks all.

    An arm's rank is one more than the number of arms that are significantly better than it. Arms
    that cannot be told apart from any better one share rank 1. Of equal rank the more accurate
    stands higher, then the one with fewer trained parameters, then the name decides.

    Args:
        arms: their answers, in any order.
    """
    strongest = sorted(arms, key=lambda arm: (-arm.right.mean(), arm.parameters, arm.arm))
    pairs = _pairs(strongest)
    beaten = Counter(pair.second for pair in pairs if pair.is_different)
    ranks = {arm.arm: 1 + beaten[arm.arm] for arm in strongest}
    board = sorted(strongest, key=lambda arm: ranks[arm.arm])
    return Comparison(
        ranks={arm.arm: ranks[arm.arm] for arm in board},
        pairs=pairs if list(ranks) == [arm.arm for arm in board] else _pairs(board),
        cochran_p=cochran(board),
    )


def _pairs(arms: Sequence[ArmAnswers]) -> tuple[Pair, ...]:
    couples = list(itertools.combinations(arms, 2))
    differences = [difference(first.right, second.right) for first, second in couples]
    found = [
        p_of_no_difference(first.right, second.right, apart)
        for (first, second), apart in zip(couples, differences, strict=True)
    ]
    return tuple(
        Pair(
            first=first.arm,
            second=second.arm,
            difference=apart,
            p=p,
            p_holm=p_holm,
            is_different=p_holm < ALPHA,
            detectable=detectable(apart),
            mcnemar=_told_apart(first, second),
        )
        for (first, second), apart, p, p_holm in zip(
            couples, differences, found, holm(found), strict=True
        )
    )


def holm(found: Sequence[float]) -> list[float]:
    """Probabilities corrected for there being several, after Holm 1979, in the same order.

    The i-th smallest of n, counted from 0, becomes the largest (n − j) · p of those up to it.
    """
    corrected, so_far = list(found), 0.0
    for rank, place in enumerate(sorted(range(len(found)), key=lambda place: found[place])):
        so_far = max(so_far, min(1.0, (len(found) - rank) * found[place]))
        corrected[place] = so_far
    return corrected


def p_of_no_difference(first: Right, second: Right, apart: Estimate) -> float:
    """Probability of a difference at least this large between two that are equal.

    Args:
        first: ``(seeds, questions)``.
        second: answers to the same questions.
        apart: their difference.
    """
    if len(first) == len(second) == 1:
        return mcnemar_p(first[0], second[0])
    return float(2 * stdtr(apart.freedom, -abs(apart.value) / apart.error))


def mcnemar_p(first: Right, second: Right) -> float:
    """McNemar's exact test of two rows of answers to the same questions: ``(questions,)``.

    Of the questions that one of the two got right, the fewer ones are binomial with ½ (McNemar
    1947, doi:10.1007/BF02295996).
    """
    alone, other = int((first & ~second).sum()), int((~first & second).sum())
    return min(1.0, float(2 * bdtr(min(alone, other), alone + other, 0.5)))


def detectable(apart: Estimate) -> float:
    """True difference that a two-sided test at 5 % finds with 80 % power: (t.975 + t.8) · error."""
    return float(stdtrit(apart.freedom, [1 - ALPHA / 2, POWER]).sum()) * apart.error


def _told_apart(first: ArmAnswers, second: ArmAnswers) -> tuple[int, int]:
    by_seed = dict(zip(second.seeds, second.right, strict=True))
    common = [
        mcnemar_p(row, by_seed[seed])
        for seed, row in zip(first.seeds, first.right, strict=True)
        if seed in by_seed
    ]
    return sum(p < ALPHA for p in common), len(common)


def cochran(arms: Sequence[ArmAnswers]) -> tuple[float, ...]:
    """Cochran's Q of all arms, for each seed that all of them have; empty for fewer than two.

    Where all arms answered every question alike, nothing speaks against it and p is 1.

    Args:
        arms: their answers.
    """
    if len(arms) < 2:
        return ()
    rows = [dict(zip(arm.seeds, arm.right, strict=True)) for arm in arms]
    found = []
    for seed in arms[0].seeds:
        if not all(seed in row for row in rows):
            continue
        table = np.array([row[seed] for row in rows]).T
        found.append(_cochran_p(table.astype(int)))
    return tuple(found)


def _cochran_p(table: npt.NDArray[np.int64]) -> float:
    """Of k arms, with G right answers each and L right ones to each question: ``(questions, k)``.

    Q = (k − 1)·(k·ΣG² − (ΣG)²) / (k·ΣL − ΣL²) is χ² with k − 1 degrees of freedom (Cochran 1950,
    doi:10.1093/biomet/37.3-4.256).
    """
    arms, by_arm, by_question = table.shape[1], table.sum(axis=0), table.sum(axis=1)
    spread = arms * by_question.sum() - (by_question**2).sum()
    if not spread:  # all arms answered every question alike
        return 1.0
    q = (arms - 1) * (arms * (by_arm**2).sum() - by_arm.sum() ** 2) / spread
    return float(chdtrc(arms - 1, q))
