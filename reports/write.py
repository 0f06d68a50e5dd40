"""All files of a report, as bytes; whoever calls decides where they go."""

from __future__ import annotations

from collections.abc import Iterable

from bench.record import StudyRecord, TrialRecord
from reports.figures import pareto_figure
from reports.markdown import report
from reports.tables import fit_for_csv, leaderboard_table, pareto_table, trials_table


def render(study: StudyRecord, records: Iterable[TrialRecord]) -> dict[str, bytes]:
    """The report's files by name. Equal records give equal bytes; none need be completed."""
    finished = list(records)
    figure = pareto_figure(study, finished)
    return {
        "report.md": report(study, finished).encode(),
        "trials.csv": fit_for_csv(trials_table(study, finished)),
        "leaderboard.csv": fit_for_csv(leaderboard_table(study, finished)),
        "pareto.csv": fit_for_csv(pareto_table(study, finished)),
        "pareto.png": figure.png,
        "pareto.svg": figure.svg,
    }
