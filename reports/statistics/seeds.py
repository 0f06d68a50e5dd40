"""What describes the accuracies of one configuration's seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The accuracies of one configuration's seeds, and what describes them.

    Attributes:
        values: test accuracy per seed.
        mean: of them.
        sd: standard deviation (n - 1); ``None`` of a single seed.
        low: the smallest.
        high: the largest.
        iqm: interquartile mean: the mean of the middle half.
    """

    values: tuple[float, ...]
    mean: float
    sd: float | None
    low: float
    high: float
    iqm: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Seeds:
        """Describes accuracies, at least one."""
        cut = len(values) // 4
        return cls(
            values=tuple(values),
            mean=statistics.fmean(values),
            sd=statistics.stdev(values) if len(values) > 1 else None,
            low=min(values),
            high=max(values),
            iqm=statistics.fmean(sorted(values)[cut : len(values) - cut]),
        )
