"""The tables of how a study went: budgets, trials, settings and where figures come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.metrics import ACCURACY
from bench.records.study_record import Run
from bench.records.trial_record import Status, TrialRecord
from reports import show
from reports.escape import headline
from reports.leaderboard import Row
from reports.metrics import COLUMNS
from reports.page.data import FIGURES
from reports.table import Cell, Table, figure

LISTED = 8
"""Names of trials in one cell."""

REASONS = 200
"""Rows of the table of failures."""


def budget(board: Sequence[Row], run: Run) -> Table:
    """Trials and training time each arm was given."""
    everything = (*run.searched, *run.confirmed)
    spent: dict[tuple[str, bool], float] = defaultdict(float)
    for record in everything:
        if record.seconds:
            spent[record.arm, record.confirms is not None] += record.seconds.train
    return Table(
        name="budget",
        headings=(
            "arm", "planned", "completed", "failed", "stopped early", "skipped", "fresh seeds",
            "training time, search", "training time, fresh seeds",
        ),
        rows=tuple(
            (
                row.arm,
                row.standing.planned,
                row.standing.completed,
                row.standing.failed,
                row.standing.pruned,
                row.standing.ends.get(Status.SKIPPED, 0),
                row.seeds,
                *(
                    Cell(text=show.duration(spent[row.arm, again]), sort=spent[row.arm, again])
                    for again in (False, True)
                ),
            )
            for row in board
        ),
        sortable=True,
    )  # fmt: skip


def trials(records: Sequence[TrialRecord]) -> Table:
    """Trials as the script's table shows them."""
    return Table(
        name="trials",
        headings=(
            "trial", "of", "status", "knobs", *(COLUMNS[name].label for name in FIGURES.values())
        ),
        rows=tuple(
            (
                record.trial,
                "fresh seed" if record.confirms else "search",
                record.status.replace("_", " "),
                show.knobs(record.values),
                *(figure(name, COLUMNS[name].read(record)) for name in FIGURES.values()),
            )
            for record in records
        ),
        texts=4,
    )  # fmt: skip


def failures(records: Iterable[TrialRecord]) -> Table:
    """Trials without a result, those of one arm with the same end and reason in one row."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for record in records:
        if record.status is not Status.COMPLETED:
            reason = headline(record.reason or "")
            groups[record.arm, record.status.replace("_", " "), reason].append(record.trial)
    return Table(
        name="failures",
        headings=("arm", "status", "reason", "which", "trials"),
        rows=tuple((*group, _some(names), len(names)) for group, names in groups.items())[:REASONS],
        texts=4,
        sortable=True,
        left_out=max(0, len(groups) - REASONS),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def baselines(run: Run) -> Table:
    """What needs no training."""
    study = run.study
    return Table(
        name="baselines",
        headings=("baseline", "validation accuracy"),
        rows=tuple((each.said, show.share(each.scores[ACCURACY])) for each in study.baselines),
    )
