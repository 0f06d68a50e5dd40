"""What is chosen from a search: by validation alone, and the same as long as the search is."""

from __future__ import annotations

from bench.tune.confirmation import fresh_seeds, make_freeze, still_holds
from tests.helpers.records import broken, trial

SMALL = trial("lora", 0, right=250, parameters=100)
LARGE = trial("lora", 1, right=300, parameters=5_000)
BETWEEN = trial("adapter", 0, right=280, parameters=1_000)
BEATEN = trial("adapter", 1, right=279, parameters=2_000)
WORST = trial("prefix", 0, right=200, parameters=9_000)
SEARCHED = [SMALL, LARGE, BETWEEN, BEATEN, WORST, broken("prefix", 1)]


def names(freeze_seeds: int) -> list[tuple[str, int, bool, bool]]:
    freeze = make_freeze(SEARCHED, seed=7, seeds=freeze_seeds)
    return [(c.arm, c.number, c.is_best, c.on_front) for c in freeze.candidates]


def test_the_best_of_each_arm_and_the_front_are_frozen() -> None:
    assert names(5) == [
        ("adapter", 0, True, True),
        ("lora", 0, False, True),
        ("lora", 1, True, True),
        ("prefix", 0, True, False),
    ]


def test_without_fresh_seeds_the_best_of_each_arm_is_enough() -> None:
    assert [(arm, number) for arm, number, *_ in names(0)] == [
        ("adapter", 0),
        ("lora", 1),
        ("prefix", 0),
    ]


def test_fresh_seeds_are_not_the_search_s_and_begin_alike() -> None:
    assert 7 not in fresh_seeds(7, 100)
    assert fresh_seeds(7, 5) == fresh_seeds(7, 9)[:5]
    assert len(set(fresh_seeds(2**31 - 3, 100))) == 100
    assert max(fresh_seeds(2**31 - 3, 100)) < 2**31


def test_a_freeze_holds_until_the_search_or_the_seeds_change() -> None:
    freeze = make_freeze(SEARCHED, seed=7, seeds=5)
    scored = [*SEARCHED[:-1], trial("prefix", 0, right=200, parameters=9_000, test=190)]

    assert still_holds(freeze, make_freeze(SEARCHED[::-1], seed=7, seeds=5))
    assert still_holds(
        freeze, make_freeze(scored[:4] + scored[5:] + [broken("lora", 9)], seed=7, seeds=5)
    )
    assert not still_holds(freeze, make_freeze(SEARCHED, seed=7, seeds=6))
    assert not still_holds(freeze, make_freeze([*SEARCHED, trial("lora", 2)], seed=7, seeds=5))


def test_a_search_without_result_freezes_nothing() -> None:
    assert make_freeze([broken("lora", 0)], seed=0, seeds=5).candidates == ()
