"""Tables of trials, arms and the front as data frames; missing values are missing, never numbers.

``fit_for_csv`` is the only way from here to a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from bench.record import StudyRecord, TrialRecord
from reports import show
from reports.escape import csv_cell
from reports.front import points
from reports.metrics import METRICS, at
from reports.standings import Standing, in_order, standings

IDENTITY = (
    "trial",
    "fingerprint",
    "arm",
    "strategy",
    "status",
    "reason",
    "seed",
    "learning_rate",
)
"""Columns of the trials table before the knobs; each is the record's field of that name."""

MEASURED = {
    **{
        name: METRICS[name].path
        for name in (
            "accuracy_before",
            "validation_accuracy",
            "test_accuracy",
            "trained_parameters",
            "head_parameters",
            "total_parameters",
            "trained_tensors",
            "stored_bytes",
            "train_seconds",
            "inference_seconds",
            "inference_ms_p50",
            "inference_ms_p95",
            "peak_bytes",
        )
    },
    "best_epoch": "accuracy.best_epoch",
    "epochs_done": "accuracy.epochs_done",
    "epochs": "epochs",
    "device": "environment.device",
    "precision": "environment.precision",
    "inference_ms_iqr": "inference.single.iqr",
    "inference_repeats": "inference.single.repeats",
    "inference_ms_p50_undeployed": "inference.undeployed.p50",
    "inference_ms_p95_undeployed": "inference.undeployed.p95",
    "questions_per_second": "inference.questions_per_second",
    "batched_ms_p50": "inference.batched.p50",
    "batched_ms_p95": "inference.batched.p95",
    "batched_questions": "inference.batched.batch_size",
    "added_parameters": "parameters.added",
    "added_at_inference": "parameters.added_at_inference",
    "train_seconds_per_question": "seconds.train_per_question",
    "validation_seconds": "seconds.validation",
    "load_seconds": "seconds.load",
    "checkpoint_seconds": "seconds.checkpoint",
    "lost_seconds": "seconds.lost",
    "device_shared": "seconds.device_shared",
    "micro_batch": "micro_batch",
    "attempts": "attempts",
    "threads": "environment.threads",
    "attention": "environment.attention",
}
"""Columns of the trials table after the knobs, each with its path in a ``TrialRecord``."""


def trials_table(study: StudyRecord, records: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row per finished trial, by arm and number, with everything measured.

    Knob columns are the union over all strategies, in the order in which trials bring them; a
    knob named like another column becomes ``knob_<name>``. Latencies are milliseconds for one
    question at a time in deployed form unless the name says otherwise.
    """
    ordered = in_order(study, records)
    knobs = dict.fromkeys(name for record in ordered for name in record.knobs)
    columns: dict[str, list[Any]] = {
        name: [at(record, name) for record in ordered] for name in IDENTITY
    }
    columns["status"] = [str(status) for status in columns["status"]]
    for knob in knobs:
        name = f"knob_{knob}" if knob in IDENTITY or knob in MEASURED else knob
        columns[name] = [record.knobs.get(knob) for record in ordered]
    for name, path in MEASURED.items():
        columns[name] = [at(record, path) for record in ordered]
    return _frame(columns)


LEADERBOARD_METRICS = (
    "trained_tensors",
    "trained_parameters",
    "train_seconds",
    "inference_seconds",
    "inference_ms_p50",
)


def leaderboard_table(
    study: StudyRecord, records: Iterable[TrialRecord], sort: str | None = None
) -> pd.DataFrame:
    """One row per arm: its chosen trial and its counts, the best arm first.

    ``test_low`` and ``test_high`` are the 95 % Wilson interval of ``test_accuracy``. Arms without
    a completed trial come last, with counts and the reason only.

    Args:
        study: what was asked.
        records: its finished trials.
        sort: metric that decides; by default test accuracy if all chosen trials have it, else
            validation accuracy.

    Raises:
        StudyError: there is no such metric.
    """
    rows = [_leaderboard_row(row) for row in standings(study, records, sort)]
    names = _leaderboard_row(_NOBODY)
    return _frame({name: [row[name] for row in rows] for name in names})


def _leaderboard_row(row: Standing) -> dict[str, Any]:
    best = row.best
    interval = row.test_interval
    return {
        "arm": row.arm,
        "strategy": row.strategy,
        "trial": best and best.trial,
        "knobs": best and show.knobs(best.values),
        "accuracy_before": best and METRICS["accuracy_before"].read(best),
        "validation_accuracy": best and METRICS["validation_accuracy"].read(best),
        "test_accuracy": best and METRICS["test_accuracy"].read(best),
        "test_low": interval and interval.low,
        "test_high": interval and interval.high,
        **{name: best and METRICS[name].read(best) for name in LEADERBOARD_METRICS},
        "completed": row.completed,
        "planned": row.planned,
        "failed": row.failed,
        "pruned": row.pruned,
        "trials": row.said(),
        "reason": row.reason,
    }


_NOBODY = Standing(arm="", strategy="", best=None, ends={}, planned=None, reason=None)


def pareto_table(study: StudyRecord, records: Iterable[TrialRecord]) -> pd.DataFrame:
    """All completed trials, fewest trained parameters first.

    ``accuracy`` is on validation; ``on_front`` says that no trial is at least as accurate with at
    most as many trained parameters and better in one of the two. Equal points are kept.
    """
    found = points(in_order(study, records))
    return _frame(
        {
            "trial": [point.record.trial for point in found],
            "arm": [point.record.arm for point in found],
            "strategy": [point.record.strategy for point in found],
            "knobs": [show.knobs(point.record.values) for point in found],
            "accuracy": [point.accuracy for point in found],
            "trained_parameters": [point.trained_parameters for point in found],
            "on_front": [point.on_front for point in found],
        }
    )


def fit_for_csv(frame: pd.DataFrame) -> bytes:
    """The table as CSV (UTF-8): missing is empty, text that starts like a formula gets a ``'``.

    Absolute paths are cut to file names.
    """
    guarded = pd.DataFrame(
        {
            csv_cell(name): pd.Series([csv_cell(cell) for cell in frame[name]], dtype=object)
            for name in frame.columns
        }
    )
    text: str = guarded.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    return pd.DataFrame({name: _column(cells) for name, cells in columns.items()})


def _column(cells: Sequence[Any]) -> pd.Series[Any]:
    """A column that can miss values without turning whole numbers into reals."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int}:
        return pd.Series(cells, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(cells, dtype="Float64")
    if kinds == {bool}:
        return pd.Series(cells, dtype="boolean")
    return pd.Series(cells, dtype="string" if kinds == {str} else object)
