"""Every strategy has a space that fits it, and every range says where it comes from."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bench.space import LEARNING_RATE, Space, installed_spaces
from bench.strategy import find_strategy, installed_families, installed_strategies

SPACES = installed_spaces().found
STRATEGIES = {name: find_strategy(name) for name in SPACES}
each = pytest.mark.parametrize(("name", "space"), SPACES.items(), ids=SPACES)


def test_every_strategy_has_a_space_and_every_space_a_strategy() -> None:
    assert set(installed_strategies().found) == {name for name in SPACES if ":" not in name}
    assert not installed_spaces().broken
    assert not installed_strategies().broken
    assert not installed_families().broken


@each
def test_every_range_says_where_it_comes_from(name: str, space: Space) -> None:
    for knob, dimension in space.knobs.items():
        assert len(dimension.source) > 10, f"{name}.{knob} has no source"


@each
def test_a_range_names_a_paper_or_says_that_it_is_ours(name: str, space: Space) -> None:
    for knob, dimension in space.knobs.items():
        told = re.search(r"\barXiv \d{4}\.\d{5}\b|\bours\b", dimension.source)
        assert told, f"{name}.{knob}: {dimension.source}"


@each
def test_every_searched_knob_is_a_field_of_the_strategy(name: str, space: Space) -> None:
    fields = {field.name for field in dataclasses.fields(STRATEGIES[name])}
    assert set(space.knobs) - {LEARNING_RATE} <= fields


@each
def test_every_start_is_inside_and_names_a_learning_rate(name: str, space: Space) -> None:
    assert space.starts, f"{name} has no known-good configuration"
    for start in space.starts:
        assert LEARNING_RATE in start
        assert all(space.knobs[knob].holds(value) for knob, value in start.items())


@each
def test_every_default_of_a_searched_knob_is_inside_its_range(name: str, space: Space) -> None:
    knobs = STRATEGIES[name]().knobs
    for knob, dimension in space.knobs.items():
        if knob != LEARNING_RATE:
            assert dimension.holds(knobs[knob])


@each
def test_the_learning_rate_is_searched_in_the_logarithm_and_starts_off_its_edges(
    name: str, space: Space
) -> None:
    rates = space.knobs[LEARNING_RATE]
    assert getattr(rates, "log", False), name
    low, high = rates.ends
    assert all(low < start[LEARNING_RATE] < high for start in space.starts)
