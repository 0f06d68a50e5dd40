"""All files of a report, as bytes; whoever calls decides where they go."""

from __future__ import annotations

from collections.abc import Mapping

from bench.records.study_record import Run
from reports.analysis import analyse
from reports.charts.gallery import pictures
from reports.frames import fit_for_csv
from reports.page.html import html_report
from reports.tables import (
    leaderboard_table,
    metrics_table,
    pairwise_table,
    pareto_table,
    search_pareto_table,
    search_table,
)
from reports.text.latex import latex_tables
from reports.text.markdown import report
from reports.trials_table import trials_table


def render(run: Run, importances: Mapping[str, Mapping[str, float]]) -> dict[str, bytes]:
    """The report's files by name. Equal runs give equal bytes; no trial need be completed.

    Args:
        run: all records.
        importances: see ``reports.analysis.Analysis``.
    """
    analysis = analyse(run, importances)
    tables = {
        "trials": trials_table(run),
        "leaderboard": leaderboard_table(analysis),
        "metrics": metrics_table(analysis),
        "pairwise": pairwise_table(analysis),
        "pareto": pareto_table(analysis),
        "search": search_table(run),
        "search_pareto": search_pareto_table(run),
    }
    drawn = pictures(analysis)
    return {
        "report.md": report(analysis).encode(),
        "report.html": html_report(analysis).encode(),
        "leaderboard.tex": latex_tables(analysis).encode(),
        **{f"{name}.csv": fit_for_csv(one) for name, one in tables.items() if one is not None},
        **{f"{name}.png": picture.png for name, picture in drawn.items()},
        **{f"{name}.svg": picture.svg for name, picture in drawn.items()},
    }
