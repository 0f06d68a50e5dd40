"""Which arms are told apart: hand-worked tests, ranks, and how often chance alone does it."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

from reports.statistics.pairwise import (
    ArmAnswers,
    cochran,
    compare,
    detectable,
    holm,
    mcnemar_p,
    p_of_no_difference,
)
from reports.statistics.uncertainty import difference
from tests.helpers.simulate import World


def _row(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def _arm(arm: str, *rows: np.ndarray, parameters: int = 1000, first_seed: int = 1) -> ArmAnswers:
    seeds = tuple(range(first_seed, first_seed + len(rows)))
    return ArmAnswers(arm=arm, parameters=parameters, seeds=seeds, right=np.array(rows))


def _arms(rights: np.ndarray) -> list[ArmAnswers]:
    return [_arm(f"arm{index}", *right) for index, right in enumerate(rights)]


def test_holm_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.2]) == pytest.approx([0.04, 0.09, 0.09, 0.2])
    assert holm([]) == []


def test_mcnemar_worked_by_hand() -> None:
    # One question for the second, six for the first: 2 · (1 + 7) / 2⁷.
    first, second = _row("1111111100"), _row("1000000110")
    assert mcnemar_p(first, second) == pytest.approx(0.125)
    assert mcnemar_p(first, first) == 1


def test_cochrans_q_worked_by_hand() -> None:
    # Columns 5, 3, 1 and rows 2, 3, 1, 2, 1, 0: Q = 2 · (3 · 35 − 9²) / (3 · 9 − 19) = 6, and
    # with two degrees of freedom p = exp(−6/2).
    arms = [_arm("a", _row("111110")), _arm("b", _row("110100")), _arm("c", _row("010000"))]
    assert cochran(arms) == (pytest.approx(math.exp(-3)),)


def test_cochrans_q_is_asked_for_each_seed_that_all_have() -> None:
    rows = [_row("111110"), _row("110100"), _row("010000")]
    arms = [_arm("a", *rows), _arm("b", *rows, first_seed=2), _arm("c", *rows, first_seed=3)]
    assert len(cochran(arms)) == 1
    assert cochran([_arm("a", rows[0]), _arm("b", rows[0])]) == (1,)
    assert cochran(arms[:1]) == ()


def test_single_seeds_are_compared_by_mcnemars_exact_test() -> None:
    found = compare([_arm("a", _row("1111111100")), _arm("b", _row("1000000110"))])
    (pair,) = found.pairs
    assert (pair.first, pair.p, pair.mcnemar) == ("a", pytest.approx(0.125), (0, 1))
    assert found.ranks == {"a": 1, "b": 1}


def test_identical_answers_are_not_different_at_all() -> None:
    for seeds in (1, 5):
        right = np.repeat(_row("1" * 300 + "0" * 200)[None], seeds, axis=0)
        (pair,) = compare([_arm("a", *right), _arm("b", *right)]).pairs
        assert (pair.p, pair.p_holm, pair.difference.value, pair.is_different) == (1, 1, 0, False)


def test_all_right_against_all_wrong_is_different() -> None:
    (pair,) = compare(_arms(np.repeat([[True], [False]], 20, axis=1)[:, None])).pairs
    assert pair.is_different
    (pair,) = compare(_arms(np.repeat([[[True]], [[False]]], 5, axis=1).repeat(20, axis=2))).pairs
    assert pair.is_different


def test_p_is_below_5_percent_just_when_the_interval_excludes_zero() -> None:
    excluded = []
    for first, second in World().experiments([0.6, 0.57], 60):
        apart = difference(first, second)
        excluded.append(not apart.low <= 0 <= apart.high)
        assert excluded[-1] == (p_of_no_difference(first, second, apart) < 0.05)
    assert 0 < sum(excluded) < 60


def test_runs_with_equal_seeds_are_also_compared_one_by_one() -> None:
    first, second = next(World().experiments([0.7, 0.5], 1))
    (pair,) = compare([_arm("a", *first), _arm("b", *second, first_seed=3)]).pairs
    assert pair.mcnemar == (3, 3)


def test_arms_that_cannot_be_told_apart_share_a_rank() -> None:
    rights = next(World().experiments([0.45, 0.65, 0.64, 0.46], 1, seed=1))
    found = compare(_arms(rights))
    assert [found.ranks[f"arm{index}"] for index in range(4)] == [3, 1, 1, 3]
    assert len(found.pairs) == 6
    board = list(found.ranks)
    for pair in found.pairs:
        assert board.index(pair.first) < board.index(pair.second)
        assert pair.difference.low <= pair.difference.value <= pair.difference.high


def test_an_arm_that_may_be_as_good_as_the_best_stands_before_one_that_is_not() -> None:
    # The seeds of the third are anywhere; the second is a little better, and surely worse than the
    # first.
    steady = _row("1" * 350 + "0" * 150)
    worse = _row("1" * 300 + "0" * 200)
    wild = [_row("1" * right + "0" * (500 - right)) for right in (100, 400, 390)]
    found = compare([_arm("a", *[steady] * 3), _arm("b", *[worse] * 3), _arm("c", *wild)])
    assert found.ranks == {"a": 1, "c": 1, "b": 2}
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("a", "c"),
        ("a", "b"),
        ("c", "b"),
    ]
    assert found.pairs[2].difference.value < 0


def test_of_equals_fewer_parameters_stand_higher_and_then_the_name_decides() -> None:
    row = _row("1100")
    arms = [
        _arm("c", row, parameters=5),
        _arm("b", row, parameters=9),
        _arm("a", row, parameters=9),
    ]
    assert list(compare(arms).ranks) == ["c", "a", "b"]


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    found = compare([_arm("a", _row("1100"))])
    assert (found.ranks, found.pairs, found.cochran_p, found.detectable) == ({"a": 1}, (), (), None)
    assert compare([]).ranks == {}


def test_two_equal_methods_are_called_different_in_at_most_5_of_100_experiments() -> None:
    assert _false_alarms(World(), methods=2, experiments=200) <= 0.08


def test_ten_points_are_found_with_five_seeds_and_500_questions() -> None:
    assert _found(World(), 0.1, experiments=100) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("methods", [2, 7])
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (5, 0.0), (5, 0.08), (5, 0.3)])
def test_chance_alone_rarely_tells_any_two_of_equal_methods_apart(
    methods: int, seeds: int, seed_sd: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # statsmodels' Holm collects garbage at every call, which is most of the time it takes.
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
    noise = 2 * (0.05 * 0.95 / 1000) ** 0.5
    assert _false_alarms(World(seeds=seeds, seed_sd=seed_sd), methods, 1000) <= 0.05 + noise


@pytest.mark.slow
def test_ten_points_are_found_in_95_of_100_experiments() -> None:
    assert _found(World(), 0.1, experiments=1000) >= 0.95


@pytest.mark.slow
def test_the_detectable_difference_is_found_in_80_of_100_experiments() -> None:
    for world in (World(), World(seed_sd=0.3), World(seeds=10, questions=200)):
        gaps = [detectable(difference(*pair)) for pair in world.experiments([0.6, 0.6], 300)]
        assert 0.75 < _found(world, float(np.median(gaps)), experiments=1000) < 0.88


def _false_alarms(world: World, methods: int, experiments: int) -> float:
    """How often any two of equal methods are called different."""
    found = [
        any(pair.is_different for pair in compare(_arms(rights)).pairs)
        for rights in world.experiments([0.6] * methods, experiments, seed=1)
    ]
    return float(np.mean(found))


def _found(world: World, gap: float, experiments: int) -> float:
    """How often two methods that are so far apart are called different, the right way round."""
    found = [
        any(pair.is_different and pair.first == "arm0" for pair in compare(_arms(rights)).pairs)
        for rights in world.experiments([0.6, 0.6 - gap], experiments, seed=2)
    ]
    return float(np.mean(found))
