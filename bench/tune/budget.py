"""What a run may spend, and what it has spent: seconds of search, hours of GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.study.run_options import RunOptions


class Meter:
    """Counts against a budget, from its own making on.

    Args:
        options: name what may be spent; ``None`` is without end.
        gpus: held by one trial.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        options: RunOptions | None = None,
        gpus: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._options = options or RunOptions()
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
        time_budget, hours = self._options.time_budget, self._options.max_gpu_hours
        if time_budget and self._clock() - self._began >= time_budget.seconds:
            return time_budget.said
        if hours is not None and self.gpu_hours >= hours:
            return f"{hours:g} GPU hours"
        return None
