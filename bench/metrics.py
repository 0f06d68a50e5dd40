"""How well answers are: each figure with its direction and its worst value.

Search, best epoch, report and baselines ask this table; none of them knows a metric by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ACCURACY = "accuracy"
"""The metric that is searched unless a study names another."""

BINS = 15
"""Bins of the calibration error (Guo et al. 2017, section 3)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What came of answering some examples.

    Attributes:
        confusion: how often answer ``j`` was given where ``i`` is right, ``(answers, answers)``;
            of a baseline the number to be expected.
        right: which examples were answered right; ``None`` where only numbers are known.
        confidences: probability that the model gave each of its predictions, 0 … 1; ``None`` where
            there is none.
    """

    confusion: Floats
    right: npt.NDArray[np.bool_] | None = None
    confidences: Floats | None = None

    @classmethod
    def of(
        cls, given: npt.ArrayLike, right: npt.ArrayLike, confidences: npt.ArrayLike | None = None
    ) -> Outcome:
        """Of predictions.

        Args:
            given: predicted answer per example, at least one.
            right: right answer per example.
            confidences: see the class.
        """
        predictions, answers = np.asarray(given, np.int64), np.asarray(right, np.int64)
        size = int(max(predictions.max(), answers.max())) + 1
        confusion = np.zeros((size, size))
        np.add.at(confusion, (answers, predictions), 1.0)
        return cls(
            confusion=confusion,
            right=predictions == answers,
            confidences=None if confidences is None else np.asarray(confidences, np.float64),
        )

    @classmethod
    def expected(cls, probabilities: Floats, right: Integers) -> Outcome:
        """Of answers drawn with these probabilities, ``(examples, answers)``."""
        size = max(probabilities.shape[1], int(right.max()) + 1)
        confusion = np.zeros((size, size))
        np.add.at(confusion[:, : probabilities.shape[1]], right, probabilities)
        return cls(confusion=confusion)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of how well answers are.

    Attributes:
        name: on the command line and in records.
        label: for people.
        higher_is_better: its direction.
        worst: the worst value there is.
        of: the figure; ``None`` where the outcome does not tell.
        is_mean: whether it is a mean over examples that are right or wrong, so that what is known
            of crossed seeds and examples holds for it.
    """

    name: str
    label: str
    higher_is_better: bool
    worst: float
    of: Callable[[Outcome], float | None]
    is_mean: bool = False

    def rank(self, value: float) -> float:
        """A number that is the larger, the better the value is."""
        return value if self.higher_is_better else -value


def accuracy(outcome: Outcome) -> float:
    """Share of examples answered right."""
    return float(np.trace(outcome.confusion) / outcome.confusion.sum())


def macro_f1(outcome: Outcome) -> float:
    """Mean over answers of F1 = 2·TP / (2·TP + FP + FN).

    Answers that are nowhere right and nowhere given do not count, as in scikit-learn.
    """
    hits = np.diag(outcome.confusion)
    both = outcome.confusion.sum(axis=0) + outcome.confusion.sum(axis=1)
    seen = both > 0
    return float((2 * hits[seen] / both[seen]).mean())


def matthews(outcome: Outcome) -> float:
    """Matthews correlation of given and right answers, -1 … 1; 0 where either never varies.

    (c·s − Σ pₖ·tₖ) / √((s² − Σ pₖ²)·(s² − Σ tₖ²)) with s examples, c of them right, and answer k
    given pₖ and right tₖ times.

    Source: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006, for any number of answers.
    """
    given, right = outcome.confusion.sum(axis=0), outcome.confusion.sum(axis=1)
    total = float(outcome.confusion.sum())
    spread = (total**2 - float(given @ given)) * (total**2 - float(right @ right))
    if spread <= 0:
        return 0.0
    shared = float(np.trace(outcome.confusion)) * total - float(given @ right)
    return float(shared / np.sqrt(spread))


def calibration_error(outcome: Outcome) -> float | None:
    """Expected calibration error: Σ |accuracy − mean confidence| over bins, weighted by size.

    15 bins of equal width, ((m − 1)/15, m/15], over the confidence of the prediction.

    Source: Guo et al. 2017, arXiv 1706.04599, section 3, equation 3.
    """
    if outcome.confidences is None or outcome.right is None:
        return None
    bins = np.clip(np.ceil(outcome.confidences * BINS).astype(np.int64) - 1, 0, BINS - 1)
    apart = outcome.right.astype(np.float64) - outcome.confidences
    return float(np.abs(np.bincount(bins, weights=apart, minlength=BINS)).sum() / len(apart))


def figure(name: str, outcome: Outcome) -> float:
    """A metric of answers that bring all that it needs."""
    value = METRICS[name].of(outcome)
    assert value is not None
    return value


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name=ACCURACY,
            label="accuracy",
            higher_is_better=True,
            worst=0.0,
            of=accuracy,
            is_mean=True,
        ),
        Metric(name="macro_f1", label="macro-F1", higher_is_better=True, worst=0.0, of=macro_f1),
        Metric(
            name="matthews",
            label="Matthews correlation",
            higher_is_better=True,
            worst=-1.0,
            of=matthews,
        ),
        Metric(
            name="calibration_error",
            label="expected calibration error",
            higher_is_better=False,
            worst=1.0,
            of=calibration_error,
        ),
    )
}
"""All metrics by name."""
