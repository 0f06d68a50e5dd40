"""What other commands have added to a run folder since it was last looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.errors import LedgerError
from bench.ledger import Ledger
from bench.record import TrialRecord
from bench.record_file import read_records

Telling = Callable[[], Iterable[TrialRecord]]
"""Gives records that have come since it was last called."""


def no_news() -> Iterable[TrialRecord]:
    """Where no other command is at work."""
    return ()


class News:
    """Reads records that were not there before; one that cannot be read now is tried again.

    Args:
        ledger: the run folder.
        wanted: picks the records that count.
    """

    def __init__(
        self,
        ledger: Ledger,
        wanted: Callable[[Iterable[TrialRecord]], Iterable[TrialRecord]],
    ) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._known: set[str] = set()

    def __call__(self) -> Iterable[TrialRecord]:
        """Records that have come since."""
        try:
            new = [path for path in self._ledger.trial_files() if path.stem not in self._known]
            found = [r for r in read_records(new).values() if isinstance(r, TrialRecord)]
        except (LedgerError, OSError):  # a store out of reach may come back
            return ()
        self._known |= {record.fingerprint for record in found}
        return self._wanted(found)
