"""``paretune sweep --dry-run``: what would run, and what it would take."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.cli.console import err, out
from bench.cluster.slots import Demand, Slots
from bench.study.experiment import Experiment
from bench.tune.estimate import ArmEstimate, Forecast, estimate
from reports.escape import plain
from reports.show import duration


def show_plan(prepared: Experiment, demand: Demand, *, as_json: bool) -> None:
    """Measures a few steps of every arm and prints the plan; nothing is written.

    Args:
        prepared: the study.
        demand: where it would run.
        as_json: one JSON document instead of a table.

    Raises:
        InputError: the cluster cannot serve the study, or the weights cannot be loaded.
    """
    with err.status("measuring a few steps of every arm"):
        expected = estimate(prepared, demand)
    if as_json:
        print(json.dumps(_document(prepared, expected)))  # noqa: T201
        return
    out.print(_table(prepared, expected))
    out.print(_total(expected), highlight=False)
    if expected.placed:
        out.print(plain(expected.placed), markup=False, highlight=False)
    if expected.seeds:
        out.print(_confirmation(expected), highlight=False)
    splits = prepared.dataset.summaries
    sizes = ", ".join(f"{summary.questions} {split}" for split, summary in splits.items())
    examples, model = prepared.task.words.examples, prepared.source.name
    out.print(f"{prepared.dataset.name}: {sizes} {examples}; model {model}")
    file = prepared.study.file
    if rule := file.halving_rule:
        rungs = ", ".join(map(str, rule.rungs(file.epochs))) or "none"
        out.print(
            f"halving: one trial in {rule.reduction_factor} goes on from a rung, rungs after epoch"
            f" {rungs} of {file.epochs}; the times are those without it"
        )
    for notice in prepared.dataset.notices:
        out.print(plain(notice), markup=False)


def _table(prepared: Experiment, expected: Forecast) -> Table:
    table = Table(title=f"{prepared.study.name}: planned, nothing run", title_justify="left")
    table.add_column("arm")
    for heading in ("trials", "of them left", "a step", "a trial", "all left"):
        table.add_column(heading, justify="right")
    table.add_column("searched and fixed knobs")
    for name, arm in expected.arms.items():
        knobs = [f"{knob}: {text}" for knob, text in prepared.spaces[name].items()]
        told = "\n".join(map(plain, knobs)) if arm.rehearsal else plain(arm.reason or "")
        planned = str(prepared.planned[name])
        table.add_row(Text(plain(name)), planned, str(arm.trials), *_times(arm), Text(told))
    return table


def _times(arm: ArmEstimate) -> tuple[str, str, str]:
    if arm.rehearsal is None:
        return "", "", ""
    step = f"{arm.rehearsal.step * 1000:.0f} ms" if arm.rehearsal.step else "head only"
    return step, f"{arm.rehearsal.trial:.1f} s", duration(arm.seconds)


def _total(expected: Forecast) -> str:
    trials = sum(arm.trials for arm in expected.arms.values())
    busy = sum(arm.seconds for arm in expected.arms.values())
    return (
        f"{trials} trials, {duration(busy)} of {_slot(expected.slots)}; {expected.slots.count} at a"
        f" time: about {duration(expected.seconds)}, and the start of the workers and the test"
    )


def _confirmation(expected: Forecast) -> str:
    return (
        f"then {expected.seeds} fresh seeds of each arm's chosen configuration and of what else is"
        f" on the front, each with a device to itself: {expected.confirmations} trials or more,"
        f" about {duration(expected.confirm_seconds)} or more"
    )


def _slot(slots: Slots) -> str:
    if slots.gpus:
        return f"{slots.gpus:g} GPU" + ("s" if slots.gpus > 1 else "")
    return f"{slots.cpus:g} core" + ("s" if slots.cpus > 1 else "")


def _document(prepared: Experiment, expected: Forecast) -> dict[str, Any]:
    arms = expected.arms
    return {
        "planned": prepared.planned,
        "left": {name: arm.trials for name, arm in arms.items()},
        "spaces": prepared.spaces,
        "refused": {name: arm.reason for name, arm in arms.items() if arm.reason is not None},
        "step_seconds": {name: arm.rehearsal and arm.rehearsal.step for name, arm in arms.items()},
        "trial_seconds": {
            name: arm.rehearsal and arm.rehearsal.trial for name, arm in arms.items()
        },
        "device_seconds": sum(arm.seconds for arm in arms.values()),
        "peak_bytes": {
            name: arm.rehearsal and arm.rehearsal.peak_bytes for name, arm in arms.items()
        },
        "gpus_per_trial": expected.slots.gpus,
        "placed": expected.placed,
        "trials_at_a_time": expected.slots.count,
        "seconds": expected.seconds,
        "confirmations": expected.confirmations,
        "confirm_seconds": expected.confirm_seconds,
    }
