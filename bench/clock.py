"""One clock for every timing: device-synchronised spans of the monotonic counter."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _nothing() -> None:
    """What a device without a queue has to wait for."""


class Stopwatch:
    """Sums the seconds of named spans; a span may be entered many times.

    Args:
        synchronise: waits until the device has finished what it was given, called at both ends
            of a span, so that queued work is counted where it was asked for
            (``torch.cuda.synchronize`` on a GPU, nothing on a CPU).
        now: the counter, in seconds; ``time.perf_counter`` never runs backwards.
    """

    def __init__(
        self,
        synchronise: Callable[[], object] = _nothing,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._synchronise = synchronise
        self._now = now
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per span name, summed so far."""
        return dict(self._seconds)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Adds the time between entering and leaving to ``name``, also when an error leaves it."""
        self._synchronise()
        start = self._now()
        try:
            yield
        finally:
            self._synchronise()
            self._seconds[name] += self._now() - start

    def time(self, function: Callable[[], object]) -> float:
        """Seconds of one call, outside all spans."""
        self._synchronise()
        start = self._now()
        function()
        self._synchronise()
        return self._now() - start
