"""The command ``paretune sweep``: from options to a run, its live view and its exit code."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.cli.board import watch
from bench.cli.console import INTERRUPTED, SOME_FAILED, SUCCESS, err, out
from bench.cli.dry_run import show_plan
from bench.cli.sweep_command import without_option
from bench.cluster.slots import Demand, gpus_of
from bench.errors import Faults, LedgerError, StudyError
from bench.records.scrub import scrub
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import RUNS, Location, location
from bench.storage.locks import WHOLE, make_share
from bench.study.experiment import Experiment, prepare
from bench.study.file import Study, check_study, preset
from bench.study.provenance import shown_command
from bench.trackers.base import make_trackers
from bench.training.speed.toolchain import cannot_compile
from bench.tune.budget import NO_BUDGET, Budget, make_budget
from bench.tune.retry import USUAL_CARE, Care, make_care
from bench.tune.run import Options, RunResult, run_study
from reports.escape import plain
from reports.text.findings import unfinished
from reports.text.terminal import leaderboard_view


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was typed after ``paretune sweep``.

    Attributes:
        study: study file or name of a preset.
        overrides: value per study key.
        sets: ``arm.knob=value`` settings.
        folder: the run folder as text, ``None`` for the default.
        cpus: cores per trial.
        gpus: accelerators per trial, as text.
        workers: most trials at a time.
        time_budget: most time of the search, as text.
        max_gpu_hours: most GPUs times hours.
        max_retries: times a trial is tried again after its worker died.
        trial_timeout: most time of a trial, as text.
        address: of an existing cluster.
        insecure_cluster: join one that asks for no token.
        fresh_workers: a new process for every trial.
        shard: which share of the search, as text.
        track: names of experiment trackers, as typed.
        dry_run: show the plan only.
        as_json: one JSON document instead of tables.
        command: everything that was typed.
        contexts: of a run whose search is over and is to be confirmed only, see ``StudyRecord``;
            ``None`` searches.
    """

    study: str | None
    overrides: Mapping[str, Any]
    sets: tuple[str, ...]
    folder: str | None
    cpus: float | None
    gpus: str | None
    workers: int | None
    time_budget: str | None
    max_gpu_hours: float | None
    max_retries: int
    trial_timeout: str | None
    address: str | None
    insecure_cluster: bool
    fresh_workers: bool
    shard: str | None
    track: tuple[str, ...]
    dry_run: bool
    as_json: bool
    command: tuple[str, ...]
    contexts: Mapping[str, str] | None = None


def run_sweep(request: Request) -> int:
    """Runs it and returns the exit code.

    Raises:
        InputError: with everything that is wrong with the request.
    """
    prepared, options = _checked(request)
    folder, demand = prepared.ledger.folder, _demand(request)
    if request.dry_run:
        show_plan(prepared, demand, as_json=request.as_json)
        return SUCCESS
    for problem in (*prepared.study.left_out, *_skipped(prepared, request)):
        err.print(scrub(plain(problem)), markup=False, highlight=False, soft_wrap=True)
    live = out.is_terminal and not request.as_json
    with watch(live=live, console=err if request.as_json else out) as observe:
        outcome = run_study(prepared, demand, observe, options)
    if request.as_json:
        print(json.dumps(_document(outcome, folder)))  # noqa: T201
    else:
        _show_outcome(outcome, folder)
    if outcome.interrupted:
        return INTERRUPTED
    return SOME_FAILED if outcome.failed else SUCCESS


def _skipped(prepared: Experiment, request: Request) -> list[str]:
    """Arms whose trials will be skipped, unless another configuration of theirs fits."""
    if request.contexts is not None:
        return []
    refusals = prepared.refusals()
    return [f"{arm} will be skipped: {reason}" for arm, reason in refusals.items()]


def _checked(request: Request) -> tuple[Experiment, Options]:
    """What is asked for, if nothing is wrong with any of it.

    Raises:
        InputError: with everything that is wrong.
    """
    faults, share = Faults(), WHOLE
    trackers: tuple[str, ...] = ()
    study, budget, care = read_request(request, faults)
    if study.file.compile and request.address is None and (reason := cannot_compile()):
        faults.add(reason)
    with faults.gathered():
        share = make_share(request.shard)
    with faults.gathered():
        trackers = make_trackers(request.track)
    folder: Location = RUNS / study.name
    with faults.gathered():
        folder = location(request.folder) if request.folder else folder
    prepared = prepare(study, folder, shown_command(_again(request)), faults)
    if request.contexts is not None:
        _check_same(prepared, request.contexts)
    options = Options(
        budget=budget,
        care=care,
        fresh_workers=request.fresh_workers,
        search=request.contexts is None,
        trackers=trackers,
    )
    return replace(prepared, share=share), options


def read_request(request: Request, faults: Faults) -> tuple[Study, Budget, Care]:
    """What is asked for, as far as it can be told without model and data.

    Args:
        request: what was typed.
        faults: told what is wrong with it.
    """
    path, budget, care = None, NO_BUDGET, USUAL_CARE
    with faults.gathered():
        budget = make_budget(request.time_budget, request.max_gpu_hours)
    with faults.gathered():
        care = make_care(request.max_retries, request.trial_timeout)
    with faults.gathered():
        gpus_of(request.gpus)
    with faults.gathered():
        path = study_path(request.study)
    return check_study(path, request.overrides, request.sets, faults), budget, care


def _check_same(prepared: Experiment, contexts: Mapping[str, str]) -> None:
    """Makes sure that a run's own trials are what is confirmed.

    Raises:
        LedgerError: what its command asks for is not what was searched.
    """
    now = prepared.contexts
    changed = sorted(arm for arm in contexts if now.get(arm) != contexts[arm])
    if changed:
        raise LedgerError(
            f"{prepared.ledger.folder}: model, data, settings or code are not those of its search"
            f" any more, for {', '.join(changed)}; call this in the folder where the run was"
            f" started, or search again: {prepared.command}"
        )


def _demand(request: Request) -> Demand:
    return Demand(
        address=request.address,
        cpus=request.cpus,
        gpus=gpus_of(request.gpus),
        workers=request.workers,
        insecure=request.insecure_cluster,
    )


def study_path(name: str | None) -> Path | None:
    """A file by path, or a preset by name."""
    if name is None:
        return None
    path = Path(name)
    if path.is_file() or path.suffix in {".yaml", ".yml"}:
        return path
    shipped = preset(name)
    if not shipped.exists():
        known = ", ".join(sorted(file.stem for file in shipped.parent.glob("*.yaml")))
        raise StudyError(f"{name}: is no file and no preset; presets are {known}")
    return shipped


def _again(request: Request) -> list[str]:
    """What to type to run it again: the same and whole, less what only changes what is printed."""
    words = [word for word in request.command if word not in {"--json", "--dry-run"}]
    return without_option(words, "--shard")


def _show_outcome(outcome: RunResult, folder: Location) -> None:
    study = outcome.study
    out.print()
    out.print(leaderboard_view(outcome.run, None))
    for record in sorted(outcome.records, key=lambda record: record.trial):
        if record.reason and record.status is not Status.PRUNED:
            line = f"{record.trial} {record.status}: {record.reason}"
            out.print(plain(line), markup=False, highlight=False)
    for notice in study.notices:
        out.print(f"note: {plain(notice)}", markup=False, highlight=False)
    if told := outcome.elsewhere or unfinished(outcome.run):
        out.print(plain(told), markup=False, highlight=False, soft_wrap=True)
    report = f"report: {folder / 'report' / 'report.html'}"
    if outcome.elsewhere:
        report = f"report of what there is: paretune report {shlex.quote(str(folder))}"
    out.print(f"\n{report}", markup=False, highlight=False, soft_wrap=True)


def _document(outcome: RunResult, folder: Location) -> dict[str, Any]:
    return {
        "study": outcome.study.model_dump(mode="json", exclude={"answers"}),
        "freeze": outcome.run.freeze and outcome.run.freeze.model_dump(mode="json"),
        "interrupted": outcome.interrupted,
        "trials": [_without_predictions(record) for record in outcome.records],
        "report": str(folder / "report" / "report.html"),
    }


def _without_predictions(record: TrialRecord) -> dict[str, Any]:
    hidden = {"accuracy": {"predictions"}, "test": {"predictions", "answers"}}
    return record.model_dump(mode="json", exclude=hidden)
