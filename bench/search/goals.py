"""What a search is told of a trial: how good it is, and how many parameters it trains."""

from __future__ import annotations

from optuna.study import StudyDirection

from bench.metrics import METRICS
from bench.record import TrialRecord


def objectives(record: TrialRecord) -> list[float]:
    """The objective on validation, and trained parameters, to be lowered."""
    if record.score is None or record.parameters is None:
        raise ValueError(f"{record.trial}: completed without a result")
    return [record.score, float(record.parameters.trained)]


def directions(objective: str) -> list[StudyDirection]:
    """Which way Optuna is to go with ``objectives``."""
    higher = METRICS[objective].higher_is_better
    return [StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]
