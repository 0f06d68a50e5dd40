"""Tables of arms, pairs and fronts as data frames; ``reports.frames`` makes them files."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.records.study_record import Run, TaskWords
from reports import show
from reports.analysis import Analysis
from reports.devices import devices_of
from reports.frames import frame
from reports.front import points
from reports.leaderboard import Row, judged, rows
from reports.metrics import COLUMNS
from reports.standings import ArmStanding, in_order, standings
from reports.statistics.uncertainty import Estimate

COSTS = (
    "trained_parameters",
    "trained_tensors",
    "stored_bytes",
    "train_seconds",
    "inference_seconds",
    "inference_ms_p50",
)
"""Metrics on the leaderboard beside accuracy: medians over an arm's runs."""


def leaderboard_table(analysis: Analysis) -> pd.DataFrame:
    """One row per arm, by rank: test accuracy with its interval, its seeds, its costs.

    ``test_low`` and ``test_high`` are a 95 % interval over what ``interval_over`` says;
    ``test_accuracies`` lists all seeds. Timings of an arm are not comparable with others where
    ``device_shared``, or where ``device`` differs. Arms without a test score come last, and
    ``untested`` says why. The search's validation accuracies are in ``search_table``: the two
    never stand together.
    """
    board = rows(analysis)
    words = analysis.run.study.words
    names = _leaderboard_row(_NOBODY, words)
    cells = [_leaderboard_row(row, words) for row in board]
    return frame({name: [row[name] for row in cells] for name in names})


def _leaderboard_row(row: Row, words: TaskWords) -> dict[str, Any]:
    entry, chosen = row.entry, row.chosen
    accuracy, seeds = entry and entry.accuracy, entry and entry.seeds
    return {
        "rank": entry and entry.rank,
        "arm": row.arm,
        "strategy": row.standing.strategy,
        "trial": chosen and chosen.trial,
        "knobs": chosen and show.knobs(chosen.values),
        "test_accuracy": accuracy and accuracy.value,
        "test_low": accuracy and accuracy.low,
        "test_high": accuracy and accuracy.high,
        "interval_over": accuracy and _over(accuracy, words),
        "seeds_done": row.done,
        "seeds_planned": row.planned,
        "seeds_lost": row.lost,
        "test_accuracies": seeds and " ".join(f"{value:.6g}" for value in seeds.values),
        "test_sd": seeds and seeds.sd,
        "test_min": seeds and seeds.low,
        "test_max": seeds and seeds.high,
        "test_iqm": seeds and seeds.iqm,
        "better_than_next": entry and entry.better_than_next,
        "accuracy_before": entry and entry.cost("accuracy_before"),
        **{name: entry and entry.cost(name) for name in COSTS},
        "device_shared": entry and entry.confirmed.was_shared,
        "device": entry and ("; ".join(devices_of(entry.confirmed.runs)) or None),
        "untested": None if entry else row.untested(),
    }


_NOBODY = Row(
    standing=ArmStanding(arm="", strategy="", best=None, ends={}, planned=None, reason=None),
    outcome=None,
    entry=None,
    tested=False,
)


def _over(estimate: Estimate, words: TaskWords) -> str:
    """What an interval speaks of."""
    return f"seeds and {words.examples}" if estimate.of_seeds else words.examples


def metrics_table(analysis: Analysis) -> pd.DataFrame | None:
    """One row per tested arm as the leaderboard has them: medians over seeds of every metric.

    Args:
        analysis: the run.

    Returns:
        ``None`` where accuracy is the only one.
    """
    names = judged(analysis)
    if not names:
        return None
    board = [row for row in rows(analysis) if row.entry]
    return frame(
        {
            "arm": [row.arm for row in board],
            "trial": [row.chosen and row.chosen.trial for row in board],
            "seeds_done": [row.done for row in board],
            **{name: [row.cost(name) for row in board] for name in names},
        }
    )


def search_table(run: Run) -> pd.DataFrame:
    """One row per arm: its best trial of the search and its counts, the best arm first.

    ``validation_accuracy`` is the highest of the arm's trials and therefore optimistic.
    """
    searches = standings(run.study, run.searched)
    return frame(
        {
            "arm": [row.arm for row in searches],
            "strategy": [row.strategy for row in searches],
            "trial": [row.best and row.best.trial for row in searches],
            "knobs": [row.best and show.knobs(row.best.values) for row in searches],
            **{
                name: [row.best and COLUMNS[name].read(row.best) for row in searches]
                for name in ("validation_accuracy", "trained_parameters")
            },
            "completed": [row.completed for row in searches],
            "planned": [row.planned for row in searches],
            "failed": [row.failed for row in searches],
            "pruned": [row.pruned for row in searches],
            "trials": [row.said() for row in searches],
            "reason": [row.reason for row in searches],
        }
    )


def pareto_table(analysis: Analysis) -> pd.DataFrame:
    """All candidates with a test score, fewest trained parameters first.

    ``test_low`` and ``test_high`` are the 95 % interval; ``on_front`` says that no candidate is at
    least as accurate with at most as many trained parameters and better in one of the two;
    ``front_probability`` is the share of resamples in which that holds, and ``place`` what follows
    from it.
    """
    entries = analysis.entries
    return frame(
        {
            "trial": [entry.confirmed.name for entry in entries],
            "arm": [entry.arm for entry in entries],
            "strategy": [entry.confirmed.trial.strategy for entry in entries],
            "knobs": [show.knobs(entry.confirmed.trial.values) for entry in entries],
            "test_accuracy": [entry.accuracy.value for entry in entries],
            "test_low": [entry.accuracy.low for entry in entries],
            "test_high": [entry.accuracy.high for entry in entries],
            "trained_parameters": [entry.confirmed.trained_parameters for entry in entries],
            "on_front": [entry.on_front for entry in entries],
            "front_probability": [entry.front_probability for entry in entries],
            "place": [entry.place for entry in entries],
        }
    )


def search_pareto_table(run: Run) -> pd.DataFrame:
    """All completed trials of the search, fewest trained parameters first.

    ``validation_accuracy`` is of one seed each and, where trials were chosen by it, optimistic;
    ``on_front`` as in ``pareto_table``. Equal points are kept.
    """
    found = points(in_order(run.study, run.searched))
    return frame(
        {
            "trial": [point.record.trial for point in found],
            "arm": [point.record.arm for point in found],
            "strategy": [point.record.strategy for point in found],
            "knobs": [show.knobs(point.record.values) for point in found],
            "validation_accuracy": [point.accuracy for point in found],
            "trained_parameters": [point.trained_parameters for point in found],
            "on_front": [point.on_front for point in found],
        }
    )


def pairwise_table(analysis: Analysis) -> pd.DataFrame:
    """Every two tested arms, in the order of the leaderboard.

    ``difference`` is the accuracy of the first less that of the second, as a share of questions,
    with its 95 % interval over what ``interval_over`` says; see
    ``reports.statistics.pairwise.Pair`` for the other columns.
    """
    pairs = analysis.pairs
    return frame(
        {
            "first": [pair.first for pair in pairs],
            "second": [pair.second for pair in pairs],
            "difference": [pair.difference.value for pair in pairs],
            "difference_low": [pair.difference.low for pair in pairs],
            "difference_high": [pair.difference.high for pair in pairs],
            "interval_over": [_over(pair.difference, analysis.run.study.words) for pair in pairs],
            "p": [pair.p for pair in pairs],
            "p_holm": [pair.p_holm for pair in pairs],
            "is_different": [pair.is_different for pair in pairs],
            "detectable": [pair.detectable for pair in pairs],
            "mcnemar_different": [pair.mcnemar[0] for pair in pairs],
            "mcnemar_runs": [pair.mcnemar[1] for pair in pairs],
        }
    )
