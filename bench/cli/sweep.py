"""The command ``paretune sweep``: its plan, its run, its live view and its exit code."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.cli.console import INTERRUPTED, SOME_FAILED, SUCCESS, err, out
from bench.cli.live_view import watch
from bench.cluster.slots import Slots
from bench.errors import Faults, LedgerError
from bench.records.scrub import scrub
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import RUNS, Location, location
from bench.study.experiment import Experiment, prepare
from bench.study.request import Request
from bench.study.run_options import RunOptions
from bench.trackers.base import make_trackers
from bench.training.speed.toolchain import cannot_compile
from bench.tune.estimate import ArmEstimate, Forecast, estimate
from bench.tune.run import RunResult, run_study
from reports.escape import plain
from reports.show import duration
from reports.text.findings import unfinished
from reports.text.terminal import leaderboard_view


def run_sweep(request: Request, faults: Faults, contexts: Mapping[str, str] | None = None) -> int:
    """Runs it and returns the exit code.

    Args:
        request: what was asked for.
        faults: what is wrong with it already.
        contexts: of a run whose search is over and is to be confirmed only, see ``StudyRecord``;
            ``None`` searches.

    Raises:
        InputError: with everything that is wrong with the request.
    """
    options = request.options if contexts is None else request.options.without_budget
    experiment = _checked(request, faults)
    if contexts is not None:
        _check_same(experiment, contexts)
    if options.dry_run:
        show_plan(experiment, options)
        return SUCCESS
    refusals = {} if contexts is not None else experiment.refusals()
    skipped = [f"{arm} will be skipped: {reason}" for arm, reason in refusals.items()]
    for problem in (*experiment.study.left_out, *skipped):
        err.print(scrub(plain(problem)), markup=False, highlight=False, soft_wrap=True)
    live = out.is_terminal and not options.as_json
    with watch(live=live, console=err if options.as_json else out) as observe:
        result = run_study(experiment, options, observe, searches=contexts is None)
    if options.as_json:
        print(json.dumps(_document(result, experiment.ledger.folder)))  # noqa: T201
    else:
        _show_result(result, experiment.ledger.folder)
    if result.interrupted:
        return INTERRUPTED
    return SOME_FAILED if result.failed else SUCCESS


def _checked(request: Request, faults: Faults) -> Experiment:
    """What is asked for, if nothing is wrong with any of it.

    Raises:
        InputError: with everything that is wrong.
    """
    options = request.options
    study = request.check(faults)
    if study.file.compile and options.address is None and (reason := cannot_compile()):
        faults.add(reason)
    with faults.gathered():
        make_trackers(options.track)
    folder: Location = RUNS / study.name
    with faults.gathered():
        folder = location(options.out) if options.out else folder
    return prepare(study, folder, request, faults)


def _check_same(experiment: Experiment, contexts: Mapping[str, str]) -> None:
    """Makes sure that a run's own trials are what is confirmed.

    Raises:
        LedgerError: what its command asks for is not what was searched.
    """
    now = experiment.contexts
    changed = sorted(arm for arm in contexts if now.get(arm) != contexts[arm])
    if changed:
        raise LedgerError(
            f"{experiment.ledger.folder}: model, data, settings or code are not those of its search"
            f" any more, for {', '.join(changed)}; call this in the folder where the run was"
            f" started, or search again: {experiment.request.command}"
        )


def _show_result(result: RunResult, folder: Location) -> None:
    study = result.study
    out.print()
    out.print(leaderboard_view(result.run, None))
    for record in sorted(result.records, key=lambda record: record.trial):
        if record.reason and record.status is not Status.PRUNED:
            line = f"{record.trial} {record.status}: {record.reason}"
            out.print(plain(line), markup=False, highlight=False)
    for notice in study.notices:
        out.print(f"note: {plain(notice)}", markup=False, highlight=False)
    if told := result.elsewhere or unfinished(result.run):
        out.print(plain(told), markup=False, highlight=False, soft_wrap=True)
    report = f"report: {folder / 'report' / 'report.html'}"
    if result.elsewhere:
        report = f"report of what there is: paretune report {shlex.quote(str(folder))}"
    out.print(f"\n{report}", markup=False, highlight=False, soft_wrap=True)


def _document(result: RunResult, folder: Location) -> dict[str, Any]:
    return {
        "study": result.study.model_dump(mode="json", exclude={"answers"}),
        "freeze": result.run.freeze and result.run.freeze.model_dump(mode="json"),
        "interrupted": result.interrupted,
        "trials": [_without_predictions(record) for record in result.records],
        "report": str(folder / "report" / "report.html"),
    }


def _without_predictions(record: TrialRecord) -> dict[str, Any]:
    hidden = {"accuracy": {"predictions"}, "test": {"predictions", "answers"}}
    return record.model_dump(mode="json", exclude=hidden)


def show_plan(experiment: Experiment, options: RunOptions) -> None:
    """Measures a few steps of every arm and prints the plan; nothing is written.

    Args:
        experiment: the study.
        options: where and how it would run.

    Raises:
        InputError: the cluster cannot serve the study, or the weights cannot be loaded.
    """
    with err.status("measuring a few steps of every arm"):
        expected = estimate(experiment, options)
    if options.as_json:
        print(json.dumps(_plan_document(experiment, expected)))  # noqa: T201
        return
    out.print(_table(experiment, expected))
    out.print(_total(expected), highlight=False)
    if expected.placed:
        out.print(plain(expected.placed), markup=False, highlight=False)
    if expected.seeds:
        out.print(_confirmation(expected), highlight=False)
    splits = experiment.dataset.summaries
    sizes = ", ".join(f"{summary.questions} {split}" for split, summary in splits.items())
    examples, model = experiment.task.words.examples, experiment.source.name
    out.print(f"{experiment.dataset.name}: {sizes} {examples}; model {model}")
    file = experiment.study.file
    if rule := file.halving_rule:
        rungs = ", ".join(map(str, rule.rungs(file.epochs))) or "none"
        out.print(
            f"halving: one trial in {rule.reduction_factor} goes on from a rung, rungs after epoch"
            f" {rungs} of {file.epochs}; the times are those without it"
        )
    for notice in experiment.dataset.notices:
        out.print(plain(notice), markup=False)


def _table(experiment: Experiment, expected: Forecast) -> Table:
    table = Table(title=f"{experiment.study.name}: planned, nothing run", title_justify="left")
    table.add_column("arm")
    for heading in ("trials", "of them left", "a step", "a trial", "all left"):
        table.add_column(heading, justify="right")
    table.add_column("searched and fixed knobs")
    for name, arm in expected.arms.items():
        knobs = [f"{knob}: {text}" for knob, text in experiment.spaces[name].items()]
        told = "\n".join(map(plain, knobs)) if arm.rehearsal else plain(arm.reason or "")
        planned = str(experiment.planned[name])
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


def _plan_document(experiment: Experiment, expected: Forecast) -> dict[str, Any]:
    arms = expected.arms
    return {
        "planned": experiment.planned,
        "left": {name: arm.trials for name, arm in arms.items()},
        "spaces": {
            arm: {k: str(v) for k, v in knobs.items()} for arm, knobs in experiment.spaces.items()
        },
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
