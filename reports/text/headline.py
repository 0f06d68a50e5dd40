"""Who leads and by what: the first sentences of a report, Markdown with foreign text escaped."""

from __future__ import annotations

from bench.metrics import ACCURACY
from bench.metrics import METRICS as SCORES
from bench.records.study_record import Run
from reports import show
from reports.analysis import Analysis
from reports.escape import markdown
from reports.leaderboard import rows
from reports.metrics import COLUMNS, tested
from reports.metrics import searched as objective
from reports.standings import best_trials, standings


def searched(run: Run) -> str:
    """The arm that leads the search, before any has answered the test split."""
    best = best_trials(run.searched)
    if not best:
        return "No trial was completed, so there is nothing to compare."
    leader = next(row.best for row in standings(run.study, run.searched) if row.best)
    assert leader.score is not None  # best trials are completed
    assert leader.parameters is not None
    goal = COLUMNS[objective(run.study)]
    many = f"Of {len(best)} arms with a result, " if len(best) > 1 else ""
    return (
        f"{many}**{markdown(leader.arm)}** has the {goal.end} {goal.label}:"
        f" {show.share(leader.score)}, with"
        f" {show.count(leader.parameters.trained)} trained parameters. No arm's choice has answered"
        f" the test split yet: arms are ordered by {goal.label}, which is optimistic, on"
        " one seed each."
    )


def by_objective(analysis: Analysis) -> str:
    """The tested arm that leads by what the search went by; empty where that is accuracy."""
    study = analysis.run.study
    if study.objective == ACCURACY:
        return ""
    label, goal = SCORES[study.objective].label, COLUMNS[tested(study)]
    first = next(row for row in rows(analysis) if row.entry)
    value = first.cost(goal.name)
    if value is None:
        return f"The search went by {label}, which is not known of any test."
    many = f"of {len(analysis.leaders)} tested arms, " if len(analysis.leaders) > 1 else ""
    of = f"the median of {first.done} seeds" if first.done > 1 else "on one seed"
    return (
        f"The search went by {label}: {many}**{markdown(first.arm)}** has the"
        f" {goal.end} {goal.label}, {show.share(value)}, {of}, with"
        f" {first.figure('trained_parameters')} trained parameters. What follows is of accuracy."
    )


def by_accuracy(analysis: Analysis) -> str:
    """The tested arm of the highest accuracy, with its interval."""
    first, words = analysis.leaders[0], analysis.run.study.words
    accuracy, seeds = first.accuracy, len(first.seeds.values)
    many = f"Of {len(analysis.leaders)} tested arms, " if len(analysis.leaders) > 1 else ""
    over = f"seeds and {words.examples}" if accuracy.of_seeds else f"{words.examples} only"
    of = f"the mean of {seeds} seeds" if seeds > 1 else "on one seed"
    return (
        f"{many}**{markdown(first.arm)}** has the highest test accuracy:"
        f" {show.share(accuracy.value)}, {of} (95 % interval"
        f" {show.interval(accuracy.low, accuracy.high)}, over {over}), with"
        f" {show.count(first.confirmed.trained_parameters)} trained parameters."
    )
