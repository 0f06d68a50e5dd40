"""How far an accuracy, or a difference of two, may be from what more seeds and questions give.

Seeds and questions are crossed and both are random: a figure speaks of all the seeds and all the
questions there could be. ``y_sq`` is 1 where seed ``s`` answers question ``q`` right, and

    y_sq = mean + seed_s + question_q + both_sq

so that Var(mean) = var(seed)/K + var(question)/n + var(both)/(nK), estimated by the mean squares of
the analysis of variance (Searle, Casella & McCulloch, *Variance Components*, 1992, chapter 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from reports.repeats import Right

CONFIDENCE = 0.95
"""Coverage of every interval in a report."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its uncertainty.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        error: standard error.
        freedom: degrees of freedom of that error.
        of_seeds: whether the interval speaks of other seeds too, or, since there was only one
            seed, of other questions alone.
    """

    value: float
    low: float
    high: float
    error: float
    freedom: float
    of_seeds: bool


@dataclass(frozen=True, kw_only=True)
class Squares:
    """Mean squares of a crossed table of K seeds and n questions.

    Attributes:
        seeds: n · Σ(mean of a seed − mean)² / (K − 1); expected n·var(seed) + var(both).
        questions: K · Σ(mean of a question − mean)² / (n − 1); expected K·var(question) +
            var(both).
        both: what neither explains, over (K − 1)(n − 1); expected var(both).
    """

    seeds: float
    questions: float
    both: float


def mean_squares(right: Right) -> Squares:
    """Two-way analysis of variance of ``(seeds, questions)`` answers, at least one of each.

    Of a single seed, ``seeds`` and ``both`` are 0: nothing is known of them.
    """
    seeds, questions = right.shape
    values = right.astype(np.float64)
    mean = values.mean()
    of_seeds = values.mean(axis=1, keepdims=True) - mean
    of_questions = values.mean(axis=0, keepdims=True) - mean
    rest = values - mean - of_seeds - of_questions
    return Squares(
        seeds=questions * float((of_seeds**2).sum()) / max(1, seeds - 1),
        questions=seeds * float((of_questions**2).sum()) / max(1, questions - 1),
        both=float((rest**2).sum()) / max(1, (seeds - 1) * (questions - 1)),
    )


def mean_accuracy(right: Right) -> Estimate:
    """Expected accuracy over all seeds and questions there could be, with its 95 % interval.

    Var = max(MS_questions, MS_both)/(nK) + max(0, MS_seeds − MS_both)/(nK), with Student's t. Of a
    single seed, and where all answers are right or all are wrong, it is Wilson's interval over the
    questions, so that an interval is never a point.

    Args:
        right: ``(seeds, questions)``, at least one of each.
    """
    seeds, questions = right.shape
    value = float(right.mean())
    if seeds == 1 or value in (0.0, 1.0):
        return _of_questions(value, questions, of_seeds=seeds > 1)
    squares = mean_squares(right)
    of_questions = max(squares.questions, squares.both) / right.size
    return _student(value, of_questions, questions, (right,))


def difference(first: Right, second: Right) -> Estimate:
    """Difference of two expected accuracies, with its 95 % interval.

    Both answered the same questions, each with seeds of its own:

        Var = var(D_q)/n + max(0, Σ_m (MS_seeds,m − MS_both,m)/(n·K_m))

    with D_q the difference of the two means at question q. The sum of squares of D_q is taken to be
    at least 1, as if one question had been answered differently: equal answers to n questions do
    not prove that all would be equal. If either has a single seed, the interval speaks of questions
    alone.

    Args:
        first: ``(seeds, questions)``, at least one of each.
        second: answers to the same questions; the number of seeds may differ.
    """
    questions = first.shape[1]
    apart = first.mean(axis=0) - second.mean(axis=0)
    value = float(apart.mean())
    spread = max(1.0, float(((apart - value) ** 2).sum()))
    of_questions = spread / (questions * max(1, questions - 1))
    seeded = (first, second) if min(len(first), len(second)) > 1 else ()
    return _student(value, of_questions, questions, seeded, lowest=-1.0)


def _student(
    value: float,
    of_questions: float,
    questions: int,
    seeded: Sequence[Right],
    lowest: float = 0.0,
) -> Estimate:
    """Student's t interval from the variance over questions and what seeds add to it.

    What seeds add is estimated without bias and, as a whole, not negative. Degrees of freedom are
    Satterthwaite's (1946, doi:10.2307/3002019): Var² / Σ(part²/freedom), the parts being the mean
    squares of questions and of seeds as they are. Seeds that seem to add nothing still cost
    freedom, for a few of them prove little; no more, though, than if they were all there is.

    Args:
        value: the estimate.
        of_questions: variance over questions.
        questions: how many.
        seeded: answers whose seeds are random too.
        lowest: the smallest value possible.
    """
    squares = [(mean_squares(right), right) for right in seeded]
    added = sum((found.seeds - found.both) / right.size for found, right in squares)
    variance = of_questions + max(0.0, added)
    doubt = of_questions**2 / max(1, questions - 1)
    doubt += sum((found.seeds / right.size) ** 2 / (len(right) - 1) for found, right in squares)
    fewest = min((len(right) - 1 for right in seeded), default=1)
    freedom = max(fewest, variance**2 / doubt)
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return Estimate(
        value=value,
        low=max(lowest, value - half),
        high=min(1.0, value + half),
        error=error,
        freedom=freedom,
        of_seeds=bool(seeded),
    )


def wilson(right: int, questions: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Ends of the interval of a share by Wilson's score method.

    (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n), with p = right/n and z the normal quantile.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.

    Args:
        right: questions answered right.
        questions: questions asked, at least 1.
        confidence: coverage asked for.
    """
    share, z = right / questions, NormalDist().inv_cdf((1 + confidence) / 2)
    shrunk = 1 + z**2 / questions
    centre = (share + z**2 / (2 * questions)) / shrunk
    spread = share * (1 - share) / questions + z**2 / (4 * questions**2)
    half = z * math.sqrt(spread) / shrunk
    return max(0.0, centre - half), min(1.0, centre + half)


def _of_questions(value: float, questions: int, *, of_seeds: bool) -> Estimate:
    low, high = wilson(round(value * questions), questions)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return Estimate(
        value=value,
        low=low,
        high=high,
        error=(high - low) / 2 / z,
        freedom=max(1, questions - 1),
        of_seeds=of_seeds,
    )
