"""Configurations of an arm that depend on nothing but its number."""

from __future__ import annotations

import itertools
import math
import random

from bench.arm import Arm
from bench.space import Value

Values = dict[str, Value]


class Draws:
    """Configurations of an arm under the random sampler, by number.

    They depend on nothing but arm and seed, so that resumed, parallel and sharded runs draw the
    same. The arm's starts come first. In a space of finitely many configurations none comes twice,
    which is why one is drawn after all before it; they are kept.

    Args:
        arm: any.
        seed: of the sampler.
    """

    def __init__(self, arm: Arm, seed: int) -> None:
        self._arm = arm
        self._seed = seed
        self._starts = [arm.complete(start) for start in arm.space.starts]
        self._drawn = list(self._starts)
        self._taken = set(map(key_of, self._drawn))

    def __getitem__(self, number: int) -> Values:
        if number < len(self._starts):
            return dict(self._starts[number])
        if self._arm.space.size == math.inf:
            return _draw(self._arm, number, self._seed, 0)
        for index in range(len(self._drawn), number + 1):
            attempts = (_draw(self._arm, index, self._seed, n) for n in itertools.count())
            values = next(values for values in attempts if key_of(values) not in self._taken)
            self._drawn.append(values)
            self._taken.add(key_of(values))
        return dict(self._drawn[number])


def key_of(values: Values) -> frozenset[tuple[str, Value]]:
    """Equal for equal configurations."""
    return frozenset(values.items())


def _draw(arm: Arm, number: int, seed: int, attempt: int) -> Values:
    return arm.space.draw(random.Random(f"{seed}/{arm.name}/{number}/{attempt}"))
