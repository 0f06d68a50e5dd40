"""Tables of what came out: metrics of the arms, fronts of tests and search, and all pairs."""

from __future__ import annotations

from bench.records.study_record import Run
from reports import show
from reports.analysis import Analysis
from reports.front import points
from reports.leaderboard import judged, rows
from reports.metrics import COLUMNS, searched
from reports.statistics.uncertainty import Estimate
from reports.table import Cell, Table, figure
from reports.text import notes


def scores(analysis: Analysis) -> Table:
    """One row per tested arm as the leaderboard has them: medians over seeds of every metric.

    It has no rows where accuracy is the only one.
    """
    names = judged(analysis)
    return Table(
        name="test-metrics",
        headings=("arm", *(COLUMNS[name].pointed for name in names), "seeds"),
        rows=tuple(
            (row.arm, *(figure(name, row.cost(name)) for name in names), row.seeds)
            for row in rows(analysis)
            if names and row.entry
        ),
        sortable=True,
    )


def front(analysis: Analysis) -> Table:
    """All tested candidates in the plane of the front, fewest trained parameters first."""
    return Table(
        name="front",
        headings=(
            "candidate", "knobs", "place", "trained parameters", "test accuracy", "95 % interval",
            "probability of front", "seeds", "latency",
        ),
        rows=tuple(
            (
                entry.confirmed.name,
                show.knobs(entry.confirmed.trial.values),
                entry.place,
                figure("trained_parameters", entry.confirmed.trained_parameters),
                figure("test_accuracy", entry.accuracy.value),
                show.interval(entry.accuracy.low, entry.accuracy.high),
                Cell(
                    text=show.probability(entry.front_probability), sort=entry.front_probability
                ),
                f"{len(entry.seeds.values)} of {len(entry.confirmed.seeds)}",
                figure("inference_ms_p50", entry.cost("inference_ms_p50")),
            )
            for entry in analysis.entries
        ),
        texts=3,
        sortable=True,
    )  # fmt: skip


def search_front(run: Run) -> Table:
    """The search's own front, on validation, fewest trained parameters first."""
    names = ("trained_parameters", searched(run.study), "train_seconds", "inference_ms_p50")
    return Table(
        name="search-front",
        headings=("trial", "knobs", *(COLUMNS[name].label for name in names)),
        rows=tuple(
            (
                point.record.trial,
                show.knobs(point.record.values),
                *(figure(name, COLUMNS[name].read(point.record)) for name in names),
            )
            for point in points(run.searched)
            if point.on_front
        ),
        texts=2,
        sortable=True,
    )


def pairs(analysis: Analysis) -> Table:
    """Every two arms: their difference, and what it would take to see one."""
    return Table(
        name="differences",
        headings=(
            "first", "second", "different", "points", "95 % interval", "p, Holm", "McNemar",
            "detectable, points",
        ),
        rows=tuple(
            (
                pair.first,
                pair.second,
                "yes" if pair.is_different else "no",
                _points(pair.difference.value),
                _within(pair.difference),
                Cell(text=show.p_value(pair.p_holm), sort=pair.p_holm),
                "{} of {}".format(*pair.mcnemar),
                Cell(text=notes.detectable_points(pair.detectable), sort=pair.detectable),
            )
            for pair in analysis.pairs
        ),
        texts=3,
        sortable=True,
    )  # fmt: skip


def _points(difference: float) -> Cell:
    return Cell(text=show.points(difference).replace("-", "−"), sort=difference)


def _within(difference: Estimate) -> str:
    return f"{_points(difference.low).text} to {_points(difference.high).text}"
