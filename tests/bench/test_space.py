"""Ranges and spaces: what is drawn, what is inside, and what is refused."""

import math
import pickle
import random
from collections import Counter
from typing import Any

import pytest

from bench.errors import PluginError, StudyError
from bench.space import (
    LEARNING_RATE,
    UNKNOWN_STRATEGY,
    Choice,
    Dimension,
    Integer,
    Space,
    Uniform,
    check_space,
)

DIMENSIONS = [
    Uniform(low=-1.0, high=2.0),
    Uniform(low=1e-5, high=1e-1, log=True),
    Uniform(low=5e-5, high=5e-5, log=True),
    Integer(low=-2, high=3),
    Integer(low=1, high=64, log=True),
    Integer(low=5, high=5, log=True),
    Choice(options=("a", "b", "c")),
]


class Fixed(random.Random):
    """A generator whose every draw is at one end of what a generator can give."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share

    def random(self) -> float:
        return self.share


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=str)
def test_every_draw_is_inside(dimension: Dimension) -> None:
    generator = random.Random(1)
    draws = [dimension.draw(generator) for _ in range(500)]
    assert [value for value in draws if not dimension.holds(value)] == []


@pytest.mark.parametrize("share", [0.0, math.nextafter(1.0, 0.0)])
def test_no_rounding_of_logarithms_leaves_the_range(share: float) -> None:
    outside = []
    for low in (1e-5, 1e-4, 1e-3, 5e-3, 0.2):
        for high in (low, 3 * low, 700 * low):
            dimension = Uniform(low=low, high=high, log=True)
            outside += [dimension] if not dimension.holds(dimension.draw(Fixed(share))) else []
    for whole in range(1, 130):
        ranged = Integer(low=whole, high=whole + whole % 3, log=True)
        outside += [ranged] if not ranged.holds(ranged.draw(Fixed(share))) else []
    assert outside == []


def test_logarithmic_draws_give_every_decade_its_share() -> None:
    dimension = Uniform(low=1e-5, high=1e-1, log=True)
    generator = random.Random(0)
    decades = Counter(math.floor(math.log10(dimension.draw(generator))) for _ in range(4000))
    assert set(decades) == {-5, -4, -3, -2}
    assert all(850 <= count <= 1150 for count in decades.values())


def test_even_draws_do_not() -> None:
    dimension = Uniform(low=1e-5, high=1e-1)
    generator = random.Random(0)
    assert sum(dimension.draw(generator) > 1e-2 for _ in range(1000)) > 850


def test_logarithmic_whole_numbers_reach_both_ends_and_halve_per_doubling() -> None:
    dimension = Integer(low=1, high=8, log=True)
    generator = random.Random(0)
    counts = Counter(dimension.draw(generator) for _ in range(9000))
    assert set(counts) == set(range(1, 9))
    for value, count in counts.items():
        expected = 9000 * math.log((value + 1) / value) / math.log(9)
        assert count == pytest.approx(expected, rel=0.15)


def test_the_same_generator_state_draws_the_same_configuration() -> None:
    assert UNKNOWN_STRATEGY.draw(random.Random(3)) == UNKNOWN_STRATEGY.draw(random.Random(3))


def test_a_configuration_does_not_depend_on_the_order_the_knobs_are_written_in() -> None:
    forward = {"a": Uniform(low=0, high=1), "b": Integer(low=1, high=99)}
    backward = dict(reversed(forward.items()))
    drawn = Space(knobs=forward).draw(random.Random(5))
    assert Space(knobs=backward).draw(random.Random(5)) == drawn


@pytest.mark.parametrize(
    ("dimension", "ends", "size"),
    [
        (Uniform(low=0.0, high=0.5), (0.0, 0.5), math.inf),
        (Uniform(low=0.5, high=0.5), (0.5, 0.5), 1),
        (Integer(low=3, high=7), (3, 7), 5),
        (Choice(options=("a", "b", "c")), ("a", "b", "c"), 3),
    ],
    ids=str,
)
def test_ends_and_size_are_those_of_the_range(
    dimension: Dimension, ends: tuple[Any, ...], size: float
) -> None:
    assert dimension.ends == ends
    assert dimension.size == size


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Uniform(low=0, high=1), [0, 0.5, 1], [-0.01, 1.01, math.nan, "0.5", True]),
        (Integer(low=0, high=4), [0, 2, 4], [-1, 5, 2.0, "2", True]),
        (Choice(options=("a", 1.5)), ["a", 1.5], ["b", 1, "1.5"]),
    ],
    ids=str,
)
def test_a_range_holds_its_own_kind_between_its_ends(
    dimension: Dimension, inside: list[Any], outside: list[Any]
) -> None:
    assert [value for value in inside if not dimension.holds(value)] == []
    assert [value for value in outside if dimension.holds(value)] == []


@pytest.mark.parametrize(
    ("kind", "bounds", "sentence"),
    [
        (Uniform, {"low": 3, "high": 1}, "low <= high must hold.*got low=3, high=1"),
        (Integer, {"low": 3, "high": 1}, "low <= high must hold.*got low=3, high=1"),
        (Uniform, {"low": 0, "high": math.inf}, "finite bounds, got low=0, high=inf"),
        (Uniform, {"low": math.nan, "high": 1}, "finite bounds, got low=nan, high=1"),
        (Uniform, {"low": 0, "high": 1, "log": True}, "needs low > 0, got low=0"),
        (Integer, {"low": -4, "high": 1, "log": True}, "needs low > 0, got low=-4"),
        (Choice, {"options": ()}, r"different options, got \[\]"),
        (Choice, {"options": ("a", "a")}, r"different options, got \['a', 'a'\]"),
    ],
)
def test_wrong_bounds_are_refused_with_the_rule_and_the_values(
    kind: type, bounds: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StudyError, match=sentence):
        kind(**bounds)


def test_the_size_of_a_space_is_the_product_of_its_knobs() -> None:
    few = {"rank": Integer(low=1, high=4), "where": Choice(options=("a", "b", "c"))}
    assert Space(knobs={}).size == 1
    assert Space(knobs=few).size == 12
    assert Space(knobs=few | {"rate": Uniform(low=0, high=1)}).size == math.inf


def test_every_start_outside_is_refused_and_told() -> None:
    knobs = {"rank": Integer(low=1, high=8), "where": Choice(options=("query", "all"))}
    starts = ({"rank": 9, "where": "query"}, {"rank": 8, "where": "all"}, {"where": "none"})
    with pytest.raises(StudyError) as caught:
        Space(knobs=knobs, starts=starts)
    first, second = caught.value.problems
    assert "rank = 9 must be inside 1 … 8" in first
    assert "where = 'none' must be inside query | all" in second


def test_a_space_survives_pickling_and_cannot_be_changed() -> None:
    space = Space(
        knobs={
            LEARNING_RATE: Uniform(low=1e-4, high=1e-2, log=True),
            "rank": Integer(low=1, high=8),
        },
        starts=({LEARNING_RATE: 1e-3, "rank": 4},),
    )
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert again.draw(random.Random(0)) == space.draw(random.Random(0))
    with pytest.raises(TypeError):
        again.knobs["rank"] = Integer(low=1, high=2)


@pytest.mark.parametrize(
    ("one", "mended"),
    [
        (Uniform(low=1, high=2, source="a"), Uniform(low=1, high=2, source="b")),
        (Integer(low=1, high=2, source="a"), Integer(low=1, high=2, source="b")),
        (Choice(options=(1, 2), source="a"), Choice(options=(1, 2), source="b")),
    ],
    ids=lambda dimension: type(dimension).__name__,
)
def test_mending_a_source_makes_no_other_study(one: Dimension, mended: Dimension) -> None:
    assert repr(one) == repr(mended), "which is what a study's context is made of"


def test_later_changes_of_the_mapping_it_was_built_from_do_not_reach_a_space() -> None:
    knobs: dict[str, Dimension] = {"rank": Integer(low=1, high=8)}
    space = Space(knobs=knobs)
    knobs["rank"] = Integer(low=1, high=2)
    assert space.size == 8


def test_a_search_space_plug_in_must_be_a_space_that_searches_the_learning_rate() -> None:
    assert check_space("mine", UNKNOWN_STRATEGY) is UNKNOWN_STRATEGY
    with pytest.raises(PluginError, match=r"'mine'.* is not a bench\.space\.Space"):
        check_space("mine", {"rank": 8})
    with pytest.raises(PluginError, match=r"'mine'.*must search 'learning_rate'"):
        check_space("mine", Space(knobs={"rank": Integer(low=1, high=8)}))
