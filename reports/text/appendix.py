"""The tables of the Markdown report on how its figures came about."""

from __future__ import annotations

from bench.records.study_record import Run
from bench.records.trial_record import Status
from reports import show
from reports.escape import Markdown, headline
from reports.metrics import searched
from reports.standings import in_order, standings
from reports.text.markdown_table import figures, labels, table


def budget(run: Run) -> Markdown:
    """Trials and training time each arm was given in the search."""
    searches = standings(run.study, run.searched)
    spent = {
        row.arm: sum(r.seconds.train for r in run.searched if r.arm == row.arm and r.seconds)
        for row in searches
    }
    return table(
        ("arm", "planned", "completed", "failed", "pruned", "skipped", "training time, all trials"),
        (
            [
                row.arm,
                row.planned,
                row.completed,
                row.failed,
                row.pruned,
                row.ends.get(Status.SKIPPED, 0),
                show.duration(spent[row.arm]),
            ]
            for row in searches
        ),
    )


def trials(run: Run) -> Markdown | None:
    """All finished trials of the search, compact."""
    names = (searched(run.study), "trained_parameters", "train_seconds", "inference_ms_p50")
    if not run.searched:
        return None
    return table(
        ("trial", "status", "knobs", *labels(names)),
        (
            [
                record.trial,
                record.status.replace("_", " "),
                show.knobs(record.values),
                *figures(record, names),
            ]
            for record in in_order(run.study, run.searched)
        ),
        left=3,
    )


def fresh(run: Run) -> Markdown | None:
    """All finished trials on fresh seeds, compact."""
    names = ("test_accuracy", "train_seconds", "inference_ms_p50")
    if not run.confirmed:
        return None
    return table(
        ("trial", "status", *labels(names)),
        (
            [record.trial, record.status.replace("_", " "), *figures(record, names)]
            for record in in_order(run.study, run.confirmed)
        ),
        left=2,
    )


def failures(run: Run) -> Markdown | None:
    """Trials without a result and why; of a traceback the last line."""
    found = [
        record
        for records in (run.searched, run.confirmed)
        for record in in_order(run.study, records)
        if record.status is not Status.COMPLETED
    ]
    if not found:
        return None
    return table(
        ("trial", "status", "attempts", "reason"),
        (
            [r.trial, r.status.replace("_", " "), r.attempts, headline(r.reason or "")]
            for r in found
        ),
        left=4,
    )
