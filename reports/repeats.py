"""What came of each frozen configuration: its trials by seed, and which questions they got right.

Where nothing was run again, the search trial itself is the only seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.records.study_record import Candidate, Run
from bench.records.trial_record import TrialRecord
from reports.standings import completed, in_order

Split: TypeAlias = Literal["validation", "test"]
Right: TypeAlias = npt.NDArray[np.bool_]
"""Which answers were right: ``(seeds, questions)``."""


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """One candidate and what came of it.

    Attributes:
        candidate: as it was frozen.
        trial: its trial of the search, the one whose validation accuracy is optimistic.
        seeds: on which it was to be run.
        runs: trials that have a result, by seed as they were frozen.
        lost: trials that ended without one.
        answers: right choice per validation question.
    """

    candidate: Candidate
    trial: TrialRecord
    seeds: tuple[int, ...]
    runs: tuple[TrialRecord, ...]
    lost: tuple[TrialRecord, ...]
    answers: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of its search trial, such as ``lora-003``."""
        return self.trial.trial

    @property
    def trained_parameters(self) -> int:
        """Head included."""
        assert self.trial.parameters is not None  # only completed trials are frozen
        return self.trial.parameters.trained

    @property
    def was_shared(self) -> bool:
        """Whether any run was timed on a device that other trials may have used meanwhile."""
        return any(run.was_shared for run in self.runs)

    def right(self, split: Split) -> Right:
        """Which questions each run with a score answered right: ``(seeds, questions)``.

        Validation answers of a run are those of its best epoch.
        """
        if split == "test":
            rows = [(r.test.predictions, r.test.answers) for r in self.runs if r.test]
        else:
            rows = [(r.accuracy.predictions, self.answers) for r in self.runs if r.accuracy]
        if not rows:
            return np.empty((0, 0), dtype=np.bool_)
        return np.array([np.equal(given, wanted) for given, wanted in rows])


def confirmed(run: Run) -> list[Confirmed]:
    """What came of every candidate, by arm as the study lists them, then by number."""
    if run.freeze is None:
        return []
    trials = {record.fingerprint: record for record in run.searched}
    order = {seed: place for place, seed in enumerate(run.freeze.seeds)}
    found = []
    for record in in_order(run.study, trials.values()):
        candidate = run.freeze.by_fingerprint.get(record.fingerprint)
        if candidate is None:
            continue
        again = sorted(
            (r for r in run.confirmed if r.confirms == record.fingerprint),
            key=lambda r: order[r.seed],
        )
        mine = again if run.freeze.seeds else [record]
        runs = completed(mine)
        found.append(
            Confirmed(
                candidate=candidate,
                trial=record,
                seeds=run.freeze.seeds or (record.seed,),
                runs=tuple(runs),
                lost=tuple(r for r in mine if r not in runs),
                answers=run.study.answers,
            )
        )
    return found


def tested(run: Run) -> list[Confirmed]:
    """The candidates with at least one test score."""
    return [entry for entry in confirmed(run) if any(r.test for r in entry.runs)]
