"""After the search: the chosen trials answer the test questions, each once, on warm workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from bench.records.events import Observer, Scored
from bench.records.trial_record import TestScore, TrialRecord
from bench.storage.ledger import Ledger
from bench.tune.worker import Scoring

Choose = Callable[[list[TrialRecord]], list[Scoring]]
"""What is to be scored, given the records of a whole search. Whoever passes it makes
the test questions into tokens when it is called, not before."""


class Exam:
    """Hands out scorings once the search is over, and writes what comes of them.

    Args:
        choose: see ``Choose``.
        ledger: where records go.
        observe: told of every score.
    """

    def __init__(self, choose: Choose, ledger: Ledger, observe: Observer) -> None:
        self._choose = choose
        self._ledger = ledger
        self._observe = observe
        self._records: dict[str, TrialRecord] = {}
        self._waiting: list[Scoring] | None = None
        self._sitting: dict[str, Scoring] = {}
        self._outcomes: dict[str, TestScore | str] = {}
        self._deaths: Counter[str] = Counter()

    def next(self, trial_id: str, records: Iterable[TrialRecord]) -> Scoring | None:
        """The next one to be scored, or ``None`` when all are handed out.

        Args:
            trial_id: Tune's name of the trial that will do it.
            records: of the whole search; looked at when first asked.
        """
        if self._waiting is None:
            self._records = {record.fingerprint: record for record in records}
            self._waiting = self._choose(list(self._records.values()))
        if not self._waiting:
            return None
        self._sitting[trial_id] = self._waiting.pop(0)
        return self._sitting[trial_id]

    @property
    def goes_on(self) -> bool:
        """Whether scorings wait to be handed out."""
        return bool(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether a scoring that was handed out has not ended, so that it may come back."""
        return bool(self._sitting)

    @property
    def sitting(self) -> int:
        """Scorings that were handed out and have not ended."""
        return len(self._sitting)

    def holds(self, trial_id: str) -> bool:
        """Whether that Tune trial scores one of ours."""
        return trial_id in self._sitting

    def take(self, trial_id: str, outcome: TestScore | str) -> None:
        """Notes a score, or why there is none."""
        self._outcomes[trial_id] = outcome

    def died(self, trial_id: str, error: str, max_retries: int) -> None:
        """Has a scoring whose worker died done again, or gives it up."""
        scoring = self._sitting[trial_id]
        self._deaths[scoring.spec.fingerprint] += 1
        deaths = self._deaths[scoring.spec.fingerprint]
        if deaths <= max_retries and self._waiting is not None:
            del self._sitting[trial_id]
            self._waiting.append(scoring)
            return
        last = (error.strip().splitlines() or ["no reason given"])[-1]
        self.take(trial_id, f"its worker died in attempt {deaths}: {last}")
        self.finish(trial_id)

    def finish(self, trial_id: str) -> None:
        """Writes the record with its score; one that was interrupted has none and is left."""
        outcome = self._outcomes.pop(trial_id, None)
        if outcome is None:
            return
        record = self._records[self._sitting.pop(trial_id).spec.fingerprint]
        if isinstance(outcome, TestScore):
            record = record.model_copy(update={"test": outcome, "reason": None})
        else:
            reason = f"could not be scored on test: {outcome}"
            record = record.model_copy(update={"reason": reason})
        record = self._ledger.write(record)
        self._records[record.fingerprint] = record
        self._observe(Scored(record=record))

    def marked(self, records: Iterable[TrialRecord]) -> list[TrialRecord]:
        """The records, those that were scored with their scores."""
        return [self._records.get(record.fingerprint, record) for record in records]
