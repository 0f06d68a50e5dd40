"""What a run may spend, and what it has spent: seconds of search, hours of GPUs."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import StudyError
from bench.units import duration_of


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one run of a study may spend; nothing of it counts for the next.

    Attributes:
        seconds: of the search, without preparation and test; ``None`` is without end.
        gpu_hours: GPUs held by trials times the hours they are held; ``None`` is without end.
        said: the time as a person says it.
    """

    seconds: float | None = None
    gpu_hours: float | None = None
    said: str | None = None


NO_BUDGET = Budget()


def make_budget(time_budget: str | None, max_gpu_hours: float | None) -> Budget:
    """A budget from options.

    Raises:
        StudyError: with a sentence per option that is no budget.
    """
    problems: list[str] = []
    seconds = duration_of("--time-budget", time_budget, problems)
    if max_gpu_hours is not None and not 0 < max_gpu_hours < math.inf:
        problems.append(f"--max-gpu-hours {max_gpu_hours:g}: must be a number above 0 such as 1.5")
    if problems:
        raise StudyError(*problems)
    said = time_budget and re.sub(r"\s+", "", time_budget)
    return Budget(
        seconds=seconds,
        gpu_hours=max_gpu_hours,
        said=f"{said}s" if said and said[-1].isdigit() else said,
    )


class Meter:
    """Counts against a budget, from its own making on.

    Args:
        budget: what may be spent.
        gpus: held by one trial.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        budget: Budget = NO_BUDGET,
        gpus: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._budget = budget
        self._gpus = gpus
        self._clock = clock
        self._began = clock()
        self._held: dict[str, float] = {}
        self._released = 0.0

    def hold(self, trial: str) -> None:
        """A trial, or a further attempt of one, takes its GPUs."""
        self.release(trial)
        self._held[trial] = self._clock()

    def release(self, trial: str) -> None:
        """A trial lets go of its GPUs, if it holds any."""
        now = self._clock()
        self._released += now - self._held.pop(trial, now)

    @property
    def gpu_hours(self) -> float:
        """Held so far, also by trials that still run."""
        now = self._clock()
        seconds = self._released + sum(now - since for since in self._held.values())
        return self._gpus * seconds / 3600

    @property
    def spent(self) -> str | None:
        """The budget that is used up, as a person says it; ``None`` if none is."""
        budget = self._budget
        if budget.seconds is not None and self._clock() - self._began >= budget.seconds:
            return budget.said or f"{budget.seconds:g}s"
        if budget.gpu_hours is not None and self.gpu_hours >= budget.gpu_hours:
            return f"{budget.gpu_hours:g} GPU hours"
        return None
