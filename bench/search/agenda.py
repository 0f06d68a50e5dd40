"""What a conductor works through: the plan of a search, its confirmation, or nothing."""

from __future__ import annotations

from typing import Protocol

from bench.record import TrialRecord
from bench.search.halving import Rungs
from bench.spec import TrialSpec


class Agenda(Protocol):
    """What a conductor works through: the plan of a search, or its confirmation."""

    @property
    def rungs(self) -> Rungs:
        """Where trials may be stopped early."""

    @property
    def left(self) -> int:
        """Trials not given out yet."""

    def next(self) -> TrialSpec | None:
        """The next trial; ``None`` when all are given out, or first others have to end."""

    def finish(self, record: TrialRecord) -> None:
        """Takes in how a trial that was given out has ended."""


class NothingLeft:
    """The agenda of a search that has ended: what follows it is all there is to do."""

    rungs = Rungs()
    left = 0

    def next(self) -> TrialSpec | None:
        """Nothing."""
        return None

    def finish(self, record: TrialRecord) -> None:
        """Never called, as nothing is given out."""
