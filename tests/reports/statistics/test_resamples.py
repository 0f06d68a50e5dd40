"""Resampled accuracies agree with the closed form; probabilities of the front are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from reports.statistics.resamples import better, front_probabilities, on_front, resampled
from reports.statistics.uncertainty import difference, mean_accuracy
from tests.helpers.simulate import World

PARAMETERS = [385, 2_305, 26_113, 74_113, 92_545, 301_000, 22_713_601]


def _rights(accuracies: list[float], seed: int = 0, **world: float) -> list[np.ndarray]:
    return list(next(World(**world).experiments(accuracies, 1, seed)))  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [3, 10])
def test_draws_spread_as_far_as_the_standard_error_says(seeds: int) -> None:
    rights = _rights([0.4, 0.6, 0.9], seeds=seeds, seed_sd=0.3)
    draws = resampled(rights, draws=20_000)
    for place, right in enumerate(rights):
        estimate = mean_accuracy(right)
        assert draws[:, place].mean() == pytest.approx(estimate.value, abs=0.001)
        assert draws[:, place].std() == pytest.approx(estimate.error, rel=0.03)


def test_differences_of_draws_spread_as_far_as_their_standard_error_says() -> None:
    first, second = _rights([0.6, 0.5], seed_sd=0.3)
    draws = resampled([first, second[:4]], draws=20_000)
    apart = difference(first, second[:4])
    assert (draws[:, 0] - draws[:, 1]).std() == pytest.approx(apart.error, rel=0.03)
    assert apart.error < np.hypot(mean_accuracy(first).error, mean_accuracy(second[:4]).error)


def test_all_candidates_of_a_draw_answer_the_same_questions() -> None:
    right = _rights([0.6], seeds=1)[0]
    draws = resampled([right, right, ~right])
    assert np.array_equal(draws[:, 0], draws[:, 1])
    assert draws[:, 0] + draws[:, 2] == pytest.approx(1)
    assert draws[:, 0].std() > 0.01


def test_the_same_seed_gives_the_same_draws_and_another_does_not() -> None:
    rights = _rights([0.6, 0.5])
    assert np.array_equal(resampled(rights, draws=5), resampled(rights, draws=5))
    assert not np.array_equal(resampled(rights, draws=5), resampled(rights, draws=5, seed=1))


def test_the_front_of_a_draw_is_what_the_definition_says() -> None:
    generator = np.random.default_rng(0)
    accuracies = generator.integers(0, 6, (50, 12)) / 6
    parameters = generator.integers(0, 5, 12)
    flags = on_front(accuracies, parameters)
    expected = [
        not any(
            d[j] >= d[i]
            and parameters[j] <= parameters[i]
            and (d[j] > d[i] or parameters[j] < parameters[i])
            for j in range(12)
        )
        for d in accuracies
        for i in range(12)
    ]
    assert flags.ravel().tolist() == expected


def test_what_is_far_apart_is_on_the_front_for_sure_or_not_at_all() -> None:
    rights = _rights([0.4, 0.7, 0.5])
    assert front_probabilities(rights, [100, 1000, 10_000]).tolist() == [1, 1, 0]


def test_of_two_equal_methods_the_larger_is_on_the_front_by_chance() -> None:
    chances = [
        front_probabilities(list(rights), [100, 1000], draws=300)[1]
        for rights in World().experiments([0.6, 0.6], 60)
    ]
    assert 0.4 < float(np.mean(chances)) < 0.6


def test_equal_answers_at_equal_size_are_on_the_front_together() -> None:
    right = _rights([0.6], seeds=1)[0]
    assert front_probabilities([right, right, right], [7, 7, 8]).tolist() == [1, 1, 0]


def test_candidates_may_have_different_numbers_of_seeds_or_none() -> None:
    first, second, third = _rights([0.4, 0.7, 0.5])
    nothing = np.empty((0, 0), dtype=np.bool_)
    chances = front_probabilities(
        [first[:3], nothing, second[:1], third[:2]], [100, 1, 1000, 10_000]
    )
    assert chances.tolist() == [1, 0, 1, 0]
    assert front_probabilities([nothing], [1]).tolist() == [0]
    assert front_probabilities([], []).shape == (0,)


def test_ties_count_half() -> None:
    assert better(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 4.0, 4.0])) == 0.5
    assert better(np.array([2.0, 2.0]), np.array([1.0, 2.0])) == 0.75


@pytest.mark.slow
def test_what_is_said_without_reserve_is_true_in_95_of_100_cases() -> None:
    # After three seeds too, which is when the search stops what is out of the front's reach.
    accuracies = [0.35, 0.42, 0.55, 0.56, 0.55, 0.6, 0.62]
    truth = on_front([accuracies], PARAMETERS)[0]
    for seeds in (3, 5):
        sure = []
        for rights in World(seeds=seeds).experiments(accuracies, 300):
            chances = front_probabilities(list(rights), PARAMETERS, draws=500)
            sure += [bool(t) for c, t in zip(chances, truth, strict=True) if c >= 0.95]
            sure += [not t for c, t in zip(chances, truth, strict=True) if c <= 0.05]
        assert len(sure) > 1000
        assert float(np.mean(sure)) > 0.95
