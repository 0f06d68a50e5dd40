"""Intervals of accuracies and of differences: closed forms, libraries, and worlds with a truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.statistics.uncertainty import Estimate, difference, mean_accuracy, mean_squares, wilson
from tests.helpers.simulate import World

WORLDS = [
    World(seeds=seeds, questions=questions, seed_sd=seed_sd)
    for seeds in (3, 5, 10)
    for questions in (200, 500)
    for seed_sd in (0.0, 0.08, 0.3)
]


def _answers(*rows: str) -> np.ndarray:
    return np.array([[letter == "1" for letter in row] for row in rows])


def _contains(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def test_the_wilson_interval_of_300_right_of_500() -> None:
    assert wilson(300, 500) == pytest.approx((0.55645, 0.64200), abs=5e-5)


def test_wilson_interval_agrees_with_newcombe_1998() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
    for right, questions, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(right, questions) == pytest.approx((low, high), abs=5e-5)


def test_a_single_seed_has_wilsons_interval_and_says_so() -> None:
    estimate = mean_accuracy(_answers("1" * 300 + "0" * 200))
    assert (round(estimate.low, 3), round(estimate.high, 3)) == (0.556, 0.642)
    assert estimate.value == 0.6
    assert not estimate.of_seeds


def test_mean_squares_worked_by_hand() -> None:
    # Seeds .5 and .25, questions 1, .5, 0, 0, mean 3/8; the squares add up to 8 · 3/8 · 5/8.
    squares = mean_squares(_answers("1100", "1000"))
    assert squares.seeds == pytest.approx(4 * 2 * 0.125**2)
    assert squares.questions == pytest.approx(2 * (0.625**2 + 0.125**2 + 2 * 0.375**2) / 3)
    assert squares.both == pytest.approx((1.875 - 0.125 - 1.375) / 3)


def test_mean_squares_are_those_of_statsmodels() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    right = next(World(seeds=4, questions=30, seed_sd=0.5).experiments([0.5], 1))[0]
    table = pd.DataFrame(
        [
            (float(answer), f"s{seed}", f"q{question}")
            for (seed, question), answer in np.ndenumerate(right)
        ],
        columns=["right", "seed", "question"],
    )
    expected = anova_lm(ols("right ~ C(seed) + C(question)", table).fit())["mean_sq"]
    squares = mean_squares(right)
    assert (squares.seeds, squares.questions, squares.both) == pytest.approx(tuple(expected))


def test_seeds_that_move_nothing_add_no_variance_but_cost_freedom() -> None:
    estimate = mean_accuracy(_answers("1100", "1000"))
    assert estimate.error**2 == pytest.approx(0.4583333 / 8)
    assert estimate.freedom == pytest.approx(0.0572917**2 / (0.0572917**2 / 3 + 0.015625**2))
    assert estimate.freedom < 3


def test_freedom_is_never_less_than_that_of_the_fewest_seeds() -> None:
    # The two agree on almost every question, and seeds seem to add less than nothing: what is left
    # of the variance is small beside the mean squares of the seeds that it was taken from.
    generator = np.random.default_rng(7)
    rights = [generator.random((5, 60)) < 0.27 for _ in range(200)]
    found = [difference(first, ~first if n % 2 else first.copy()) for n, first in enumerate(rights)]
    assert min(estimate.freedom for estimate in found) == pytest.approx(4)


def test_where_only_seeds_vary_the_interval_is_students_over_seeds() -> None:
    right = np.repeat(_answers("1", "0", "1", "1", "0"), 400, axis=1)
    estimate = mean_accuracy(right)
    expected = stats.ttest_1samp(right.mean(axis=1), 0).confidence_interval(0.95)
    assert estimate.low == pytest.approx(max(0.0, expected.low))
    assert estimate.high == pytest.approx(min(1.0, expected.high))
    assert estimate.freedom == pytest.approx(4)


def test_where_seeds_answer_alike_the_interval_is_students_over_questions() -> None:
    right = np.repeat(_answers("1" * 30 + "0" * 20), 5, axis=0)
    estimate = mean_accuracy(right)
    expected = stats.ttest_1samp(right[0], 0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    assert estimate.of_seeds


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("seeds", [1, 5])
def test_an_interval_is_never_a_point(right: bool, seeds: int) -> None:
    estimate = mean_accuracy(np.full((seeds, 500), right))
    assert (estimate.low, estimate.high) == wilson(500 * right, 500)
    assert estimate.high - estimate.low > 0.007
    assert estimate.error > 0


def test_answers_that_cancel_out_still_have_a_variance() -> None:
    estimate = mean_accuracy(_answers("10", "01"))
    assert estimate.error == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 2), (2, 2)])
def test_the_smallest_experiments_have_intervals(shape: tuple[int, int]) -> None:
    right = np.arange(shape[0] * shape[1]).reshape(shape) % 2 == 0
    for estimate in (mean_accuracy(right), difference(right, ~right), difference(right, right)):
        assert estimate.low <= estimate.value <= estimate.high
        assert np.isfinite([estimate.error, estimate.freedom]).all()


def test_the_difference_of_two_single_seeds_is_the_paired_t_interval() -> None:
    first, second = _answers("1" * 30 + "0" * 20), _answers("1" * 15 + "0" * 25 + "1" * 10)
    estimate = difference(first, second)
    expected = stats.ttest_rel(first[0].astype(int), second[0].astype(int))
    interval = expected.confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
    assert not estimate.of_seeds


def test_a_difference_between_seeds_alone_is_welchs() -> None:
    # Every seed answers all questions alike, so that all variance is the seeds'.
    first = np.repeat(_answers("1", "1", "0", "1", "0", "1"), 10_000, axis=1)
    second = np.repeat(_answers("0", "1", "0", "0"), 10_000, axis=1)
    estimate = difference(first, second)
    expected = stats.ttest_ind(first.mean(axis=1), second.mean(axis=1), equal_var=False)
    assert estimate.freedom == pytest.approx(expected.df, rel=1e-4)
    assert estimate.low == pytest.approx(expected.confidence_interval().low, abs=1e-4)


def test_numbers_of_seeds_may_differ_and_one_seed_speaks_of_questions_alone() -> None:
    first, second = next(World(seeds=5).experiments([0.6, 0.5], 1))
    assert difference(first, second[:3]).of_seeds
    assert not difference(first, second[:1]).of_seeds
    assert difference(first, second[:3]).error > difference(first, second).error


def test_a_difference_the_other_way_round_is_its_mirror_image() -> None:
    first, second = next(World().experiments([0.6, 0.5], 1))
    one, other = difference(first, second), difference(second, first)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


@pytest.mark.parametrize("seeds", [1, 5])
def test_equal_answers_do_not_prove_that_all_would_be_equal(seeds: int) -> None:
    right = np.repeat(_answers("1" * 300 + "0" * 200), seeds, axis=0)
    estimate = difference(right, right)
    assert estimate.value == 0
    assert 0.001 < estimate.high < 0.01


@pytest.mark.parametrize("seed_sd", [0.0, 0.08, 0.3])
def test_intervals_hold_the_truth_about_as_often_as_they_say(seed_sd: float) -> None:
    covered = _coverage(World(seed_sd=seed_sd), 0.6, experiments=150)
    assert min(covered) > 0.90


def test_intervals_over_questions_alone_would_miss_what_seeds_do() -> None:
    world = World(seeds=1, seed_sd=0.3)
    assert max(_coverage(world, 0.6, experiments=150)) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("world", WORLDS, ids=repr)
def test_intervals_hold_the_truth_in_93_to_97_of_100_experiments(
    world: World, accuracy: float
) -> None:
    # Three seeds that agree prove little, and the intervals stay wide: up to 98.5.
    highest = {3: 0.985, 5: 0.975, 10: 0.97}[world.seeds]
    experiments = 2000
    noise = 3 * (0.05 * 0.95 / experiments) ** 0.5
    for covered in _coverage(world, accuracy, experiments=experiments):
        assert 0.93 - noise < covered < highest + noise


def _coverage(world: World, accuracy: float, experiments: int) -> tuple[float, float]:
    """How often the intervals of a mean and of a difference of 5 points hold the truth."""
    found = [
        (
            _contains(mean_accuracy(first), accuracy),
            _contains(difference(first, second), 0.05),
        )
        for first, second in world.experiments([accuracy, accuracy - 0.05], experiments)
    ]
    of_mean, of_difference = np.mean(found, axis=0)
    return float(of_mean), float(of_difference)
