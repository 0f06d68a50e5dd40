"""Everything measured of every trial, one row each, as a data frame."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.records.study_record import Run
from reports.frames import frame
from reports.metrics import COLUMNS, at
from reports.standings import in_order

IDENTITY = (
    "trial",
    "fingerprint",
    "arm",
    "strategy",
    "phase",
    "confirms",
    "status",
    "reason",
    "seed",
    "learning_rate",
)
"""Columns of the trials table before the knobs; all but ``phase`` are fields of the record."""

MEASURED = {
    **{name: metric.path for name, metric in COLUMNS.items()},
    "best_epoch": "accuracy.best_epoch",
    "epochs_done": "accuracy.epochs_done",
    "epochs": "epochs",
    "device": "environment.device",
    "precision": "environment.precision",
    "inference_repeats": "inference.single.repeats",
    "batched_repeats": "inference.batched.repeats",
    "batched_questions": "inference.batched.batch_size",
    "added_parameters": "parameters.added",
    "train_seconds_per_question": "seconds.train_per_question",
    "validation_seconds": "seconds.validation",
    "load_seconds": "seconds.load",
    "checkpoint_seconds": "seconds.checkpoint",
    "compile_seconds": "seconds.compile",
    "lost_seconds": "seconds.lost",
    "device_shared": "seconds.device_shared",
    "micro_batch": "micro_batch",
    "attempts": "attempts",
    "threads": "environment.threads",
    "attention": "environment.attention",
}
"""Columns of the trials table after the knobs, each with its path in a ``TrialRecord``."""


def trials_table(run: Run) -> pd.DataFrame:
    """One row per finished trial with everything measured: the search's, then those on fresh seeds.

    ``phase`` is ``search``, ``confirm``, or ``former`` for one that no figure uses, see
    ``bench.records.study_record.Run``; ``confirms`` is the fingerprint of the search
    trial that it repeats. Knob columns are the union over all strategies, in the order in which
    trials bring them; a knob named like another column becomes ``knob_<name>``. Latencies are
    milliseconds for one question at a time in deployed form unless the name says otherwise.
    """
    phases = {"search": run.searched, "confirm": run.confirmed, "former": run.former}
    found = [(phase, r) for phase, some in phases.items() for r in in_order(run.study, some)]
    ordered = [record for _, record in found]
    knobs = dict.fromkeys(name for record in ordered for name in record.knobs)
    columns: dict[str, list[Any]] = {
        name: [phase for phase, _ in found]
        if name == "phase"
        else [at(record, name) for record in ordered]
        for name in IDENTITY
    }
    columns["status"] = [str(status) for status in columns["status"]]
    for knob in knobs:
        name = f"knob_{knob}" if knob in columns or knob in MEASURED else knob
        columns[name] = [record.knobs.get(knob) for record in ordered]
    for name, path in MEASURED.items():
        columns[name] = [at(record, path) for record in ordered]
    return frame(columns)
