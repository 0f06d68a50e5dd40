"""The report of a run, and how much each searched knob had to do with how well trials came out."""

from __future__ import annotations

import warnings

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from bench.records.study_record import Run
from bench.storage.files import write_whole
from bench.storage.ledger import Ledger
from bench.tune.optuna_export import arm_trials
from reports.write import render

FEWEST_TRIALS = 8
"""Completed trials of an arm below which nothing is said of its knobs."""

MOST_TRIALS = 500
"""Of more, as many are taken evenly: a forest on thousands takes minutes and says the same."""


def importances(run: Run) -> dict[str, dict[str, float]]:
    """Of what a random forest attributes to single knobs, the share of each, per arm.

    By functional ANOVA (Hutter et al. 2014, proceedings.mlr.press/v32/hutter14.html): a random
    forest is fitted to the completed trials, and the variance of its predictions is split by knob.
    What the knobs do together, and what the forest does not see, is left out: the shares of an arm
    always add up to 1, also where nothing matters. Ranges searched in the logarithm are split in
    it. With few trials a forest sees little: it is a hint where to look, not a measurement.

    Args:
        run: all records; what was drawn is the search alone.

    Returns:
        Share per knob and arm, the largest first. Arms with fewer than ``FEWEST_TRIALS`` completed
        trials, with one searched knob, or of one accuracy are left out.
    """
    found = {arm: _importances(arm_trials(run, arm)) for arm in run.study.arms}
    return {arm: shares for arm, shares in found.items() if shares}


def _importances(trials: list[FrozenTrial]) -> dict[str, float]:
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    knobs = {knob for trial in completed for knob in trial.params}
    accuracies = {trial.values[0] for trial in completed}
    if len(completed) < FEWEST_TRIALS or len(knobs) < 2 or len(accuracies) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials(completed[:: -(-len(completed) // MOST_TRIALS)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        found = optuna.importance.get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(seed=0),
            target=lambda trial: trial.values[0],
            normalize=False,
        )
    total = sum(found.values())
    if total <= 0:
        return {}
    ordered = sorted(found, key=lambda knob: (-found[knob], knob))
    return {knob: float(found[knob] / total) for knob in ordered}


def write_report(ledger: Ledger, run: Run) -> None:
    """Writes every file of the report."""
    for name, content in render(run, importances(run)).items():
        write_whole(ledger.report_folder / name, content)
