"""What can be searched: ranges of one knob, and the space of a strategy. Knows no Optuna."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

from bench.errors import PluginError, StudyError
from bench.plugins import Plugins, load_plugins

Value: TypeAlias = bool | int | float | str
"""A value a knob can take: what JSON can hold in one cell."""

LEARNING_RATE = "learning_rate"
"""The one searched knob that belongs to training, not to the strategy."""

LOGARITHMIC = " (log)"
"""How a range that is searched in the logarithm ends as text."""


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Real numbers in ``[low, high]``, evenly or (``log``) evenly in the logarithm.

    Attributes:
        low: smallest value.
        high: largest value.
        log: draw evenly in the logarithm; needs ``low > 0``.
        source: where the range comes from.
    """

    low: float
    high: float
    log: bool = False
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, log=self.log)

    def draw(self, generator: random.Random) -> float:
        """One value."""
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return min(self.high, max(self.low, value))  # exp(log(x)) can miss x by a rounding

    @property
    def ends(self) -> tuple[Value, ...]:
        """The extreme values."""
        return (self.low, self.high)

    @property
    def size(self) -> float:
        """How many values there are."""
        return math.inf if self.low < self.high else 1

    def holds(self, value: Value) -> bool:
        """Whether the value is inside."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= float(value) <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} … {self.high:g}{LOGARITHMIC if self.log else ''}"


@dataclass(frozen=True, kw_only=True)
class Integer:
    """Whole numbers in ``[low, high]``, evenly or (``log``) evenly in the logarithm.

    Attributes:
        low: smallest value.
        high: largest value.
        log: draw evenly in the logarithm; needs ``low ≥ 1``.
        source: where the range comes from.
    """

    low: int
    high: int
    log: bool = False
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, log=self.log)

    def draw(self, generator: random.Random) -> int:
        """One value. In the logarithm every whole number k owns the interval [k, k + 1)."""
        if not self.log:
            return generator.randint(self.low, self.high)
        exponent = generator.uniform(math.log(self.low), math.log(self.high + 1))
        return min(self.high, max(self.low, int(math.exp(exponent))))

    @property
    def ends(self) -> tuple[Value, ...]:
        """The extreme values."""
        return (self.low, self.high)

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1

    def holds(self, value: Value) -> bool:
        """Whether the value is inside."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.low} … {self.high}{LOGARITHMIC if self.log else ''}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of a few named values, without order.

    Attributes:
        options: the values.
        source: where the list comes from.
    """

    options: tuple[Value, ...]
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise StudyError(f"a choice needs different options, got {list(self.options)}")

    def draw(self, generator: random.Random) -> Value:
        """One value."""
        return generator.choice(self.options)

    @property
    def ends(self) -> tuple[Value, ...]:
        """All options: without order each is an extreme."""
        return self.options

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.options)

    def holds(self, value: Value) -> bool:
        """Whether the value is one of the options."""
        return value in self.options

    def __str__(self) -> str:
        return " | ".join(str(option) for option in self.options)


Dimension: TypeAlias = Uniform | Integer | Choice


@dataclass(frozen=True, kw_only=True)
class Space:
    """The knobs of one strategy that are searched, and where to begin.

    Attributes:
        knobs: dimension per knob; ``learning_rate`` and fields of the strategy.
        starts: known-good configurations, tried first and in this order. A knob that a start
            does not name takes the strategy's default, so every start names the learning rate.
    """

    knobs: Mapping[str, Dimension]
    starts: tuple[Mapping[str, Value], ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", MappingProxyType(dict(self.knobs)))
        problems = [
            f"start {dict(start)}: {name} = {value!r} must be inside {self.knobs[name]}"
            for start in self.starts
            for name, value in start.items()
            if name in self.knobs and not self.knobs[name].holds(value)
        ]
        if problems:
            raise StudyError(*problems)

    @property
    def size(self) -> float:
        """How many different configurations there are (``inf`` with a real-valued knob)."""
        return math.prod(dimension.size for dimension in self.knobs.values())

    def draw(self, generator: random.Random) -> dict[str, Value]:
        """One configuration; knobs are drawn in the order of their names."""
        return {name: self.knobs[name].draw(generator) for name in sorted(self.knobs)}

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle; the plain arguments do.
        return (_rebuild, (dict(self.knobs), self.starts))


def _rebuild(knobs: dict[str, Dimension], starts: tuple[Mapping[str, Value], ...]) -> Space:
    return Space(knobs=knobs, starts=starts)


def _check_bounds(low: float, high: float, *, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise StudyError(f"low <= high must hold for finite bounds, got low={low}, high={high}")
    if log and low <= 0:
        raise StudyError(f"a logarithmic range needs low > 0, got low={low}")


GROUP = "paretune.search_spaces"

UNKNOWN_STRATEGY = Space(
    knobs={LEARNING_RATE: Uniform(low=1e-5, high=1e-2, log=True, source="spans all our methods")},
    starts=({LEARNING_RATE: 1e-3},),
)
"""What is searched for a strategy that has no space of its own: the learning rate."""


@cache
def installed_spaces() -> Plugins[Space]:
    """The search spaces of all installed distributions, by strategy name."""
    return load_plugins(GROUP, check_space)


def find_space(strategy: str) -> Space:
    """What is searched for the strategy of this name."""
    return installed_spaces().found.get(strategy, UNKNOWN_STRATEGY)


def check_space(name: str, loaded: object) -> Space:
    """Checks that an entry point holds a space.

    Raises:
        PluginError: it holds something else, or a space without a learning rate.
    """
    if not isinstance(loaded, Space):
        raise PluginError(name, f"{loaded!r} is not a bench.space.Space")
    if LEARNING_RATE not in loaded.knobs:
        raise PluginError(name, f"a space must search {LEARNING_RATE!r}")
    return loaded
