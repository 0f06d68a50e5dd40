"""Metrics by hand and against scikit-learn, each with the direction and worst value it claims."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from bench.metrics import (
    METRICS,
    Outcome,
    accuracy,
    calibration_error,
    macro_f1,
    matthews,
)

RIGHT = (0, 0, 0, 0, 1, 1, 2, 2)
GIVEN = (0, 0, 0, 1, 1, 0, 2, 1)


def test_accuracy_f1_and_correlation_worked_by_hand() -> None:
    outcome = Outcome.of(GIVEN, RIGHT)
    assert outcome.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert accuracy(outcome) == 5 / 8
    # F1: 2·3/(4 + 4), 2·1/(3 + 2), 2·1/(1 + 2)
    assert macro_f1(outcome) == pytest.approx((6 / 8 + 2 / 5 + 2 / 3) / 3)
    # (5·8 − (4·4 + 3·2 + 1·2)) / √((64 − 26)·(64 − 24))
    assert matthews(outcome) == pytest.approx(16 / (38 * 40) ** 0.5)


def test_calibration_error_worked_by_hand() -> None:
    # Bins of a fifteenth: 0.95 and 1.0 share the last one, 0.5 is alone, as is 1/15 at its edge.
    outcome = Outcome.of((0, 0, 0, 0), (0, 1, 0, 1), (0.95, 1.0, 0.5, 1 / 15))
    # |1 − 1.95| + |1 − 0.5| + |0 − 1/15|, over four
    assert calibration_error(outcome) == pytest.approx((0.95 + 0.5 + 1 / 15) / 4)


def test_a_bin_holds_its_upper_end_and_not_its_lower_one() -> None:
    # 0.2 = 3/15 ends the third bin; in one bin with 0.21 the two would make up for each other.
    apart = Outcome.of((0, 0), (1, 0), (0.2, 0.21))
    assert calibration_error(apart) == pytest.approx((0.2 + 0.79) / 2)


def test_who_is_sure_and_right_is_calibrated_and_who_is_sure_and_wrong_is_worst() -> None:
    assert calibration_error(Outcome.of((1, 0), (1, 0), (1.0, 1.0))) == 0.0
    wrong = calibration_error(Outcome.of((0, 1), (1, 0), (1.0, 1.0)))
    assert wrong == METRICS["calibration_error"].worst == 1.0


@pytest.mark.parametrize("answers", [2, 3, 5, 40])
def test_scikit_learn_says_the_same(answers: int) -> None:
    generator = np.random.default_rng(answers)
    for _ in range(20):
        right = generator.integers(0, answers, 60)
        given = np.where(generator.random(60) < 0.5, right, generator.integers(0, answers, 60))
        outcome = Outcome.of(given, right)
        assert accuracy(outcome) == accuracy_score(right, given)
        assert macro_f1(outcome) == pytest.approx(f1_score(right, given, average="macro"))
        assert matthews(outcome) == pytest.approx(matthews_corrcoef(right, given))


def test_answers_that_never_vary_have_no_correlation() -> None:
    assert matthews(Outcome.of((1, 1, 1), (0, 1, 1))) == 0.0
    assert matthews_corrcoef((0, 1, 1), (1, 1, 1)) == 0.0


def test_the_worst_value_is_reached_and_never_passed() -> None:
    opposite = Outcome.of((1, 0, 1, 0), (0, 1, 0, 1), (1.0, 1.0, 1.0, 1.0))
    perfect = Outcome.of((1, 0, 1, 0), (1, 0, 1, 0), (1.0, 1.0, 1.0, 1.0))
    for metric in METRICS.values():
        worst, best = metric.of(opposite), metric.of(perfect)
        assert worst == metric.worst, metric.name
        assert best is not None
        assert metric.rank(best) > metric.rank(metric.worst), metric.name


def test_what_is_expected_of_random_answers_is_known_without_drawing_any() -> None:
    shares = np.tile([0.5, 0.25, 0.25], (8, 1))
    outcome = Outcome.expected(shares, np.array(RIGHT))
    assert accuracy(outcome) == pytest.approx(4 / 8 * 0.5 + 4 / 8 * 0.25)
    assert matthews(outcome) == pytest.approx(0.0)
    assert calibration_error(outcome) is None
