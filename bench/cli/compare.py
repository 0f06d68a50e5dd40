"""The command ``paretune compare``: two runs side by side, environment by environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.cli.console import SOME_FAILED, SUCCESS, out
from bench.errors import Faults, LedgerError
from bench.records.study_record import Run
from bench.records.trial_record import Environment
from bench.storage.ledger import Ledger
from reports import show
from reports.compare import Drift, RunComparison, Sample, compare_runs
from reports.escape import plain
from reports.twins import Jitter, Ratio

SIDES = ("first", "second")
CODE = {True: "same code", False: "other code or name of the arm"}
PLACE = {True: "same environment", False: "another environment"}


def show_comparison(first: Path, second: Path, *, as_json: bool) -> int:
    """Prints two runs side by side, and returns the exit code: 1 if any figure has drifted.

    Raises:
        LedgerError: either is no run folder.
    """
    one, other = _both(first, second)
    found = compare_runs(one, other)
    if as_json:
        print(json.dumps(_document(found)))  # noqa: T201
    else:
        _show(found, first, second)
    return SOME_FAILED if found.has_drifted else SUCCESS


def _both(first: Path, second: Path) -> tuple[Run, Run]:
    faults, runs = Faults(), []
    for folder in (first, second):
        with faults.gathered():
            runs.append(Ledger(folder).run())
    faults.raise_any(LedgerError)
    return runs[0], runs[1]


def _show(found: RunComparison, first: Path, second: Path) -> None:
    _say(f"first:  {first}", f"second: {second}", "")
    if found.asked:
        _say("what was asked:")
        _print(_side_by_side(found.asked, SIDES))
    _show_environments(found)
    if found.drifts:
        _say("test accuracy:")
        _print(_drift_table(found))
    for head, names in zip((first, second), found.only, strict=True):
        if names:
            _say(f"tested in {head} only: {', '.join(names)}")
    for jitter in found.jitters:
        _say(_jitter(jitter))
    for twin in found.ends:
        one, other = twin.first, twin.second
        _say(f"ended differently: {one.trial} {one.status}, {other.trial} {other.status}")
    _show_ratios(found)
    _say("", *_verdicts(found))


def _show_environments(found: RunComparison) -> None:
    if len(found.environments) > 1:
        labels = [_label(index) for index in range(len(found.environments))]
        _say("environments, never pooled:")
        _print(_side_by_side(found.apart, labels))
    elif found.environments:
        _say(f"environment of both: {_environment(found.environments[0])}", "")


def _side_by_side(rows: dict[str, Any], heads: Iterable[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for head in heads:
        table.add_column(Text(plain(head)), overflow="fold")
    for name, values in rows.items():
        table.add_row(*(Text(plain(value)) for value in (name, *values)))
    return table


def _drift_table(found: RunComparison) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.caption, table.caption_justify = (
        Text("±: half a 95 % interval; ×: seeds; p: corrected for all that are judged", "dim"),
        "left",
    )
    table.add_column("configuration", no_wrap=True)
    for heading in (*SIDES, "second less first", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("knobs")  # the one column that gives way on a narrow terminal
    many = len(found.environments) > 1
    for drift in found.drifts:
        names = dict.fromkeys((drift.first.name, drift.second.name))
        table.add_row(
            Text(plain(" / ".join(names))),
            _sample(drift.first, many=many),
            _sample(drift.second, many=many),
            *_outcome(drift),
            Text(
                plain(show.knobs(drift.first.trial.values)),
                "dim",
                no_wrap=True,
                overflow="ellipsis",
            ),
        )
    return table


def _sample(sample: Sample, *, many: bool) -> Text:
    accuracy = sample.accuracy
    half = f"{(accuracy.high - accuracy.low) / 2:.3f}".removeprefix("0")
    text = Text(f"{accuracy.value:.3f} ±{half} ×{len(sample.seeds)}")
    return text.append(f", {_label(sample.environment)}" if many else "")


def _outcome(drift: Drift) -> tuple[str, str, Text]:
    apart, p = drift.difference, drift.p
    if apart is None:
        return "", "", Text("other test data", "dim")
    if p is None:
        said = Text("too few seeds", "yellow")
    else:
        said = Text("drift", "bold red") if drift.is_drift else Text("within noise", "green")
    said.append(", other code" if drift.same_code is False else "")
    told = f"{apart.value:+.3f} ({apart.low:+.3f} … {apart.high:+.3f})"
    return told, "" if p is None else f"{p:.2g}", said


def _jitter(jitter: Jitter) -> str:
    count, worst = len(jitter.twins), jitter.worst
    head = (
        f"the same trial twice ({CODE[jitter.same_code]}, {PLACE[jitter.same_environment]}):"
        f" {jitter.equal} of {count} equal to the last answer"
    )
    if jitter.equal == count:
        return head
    return (
        f"{head}; furthest apart {worst.first.trial}: validation {worst.validation_apart:+.3f},"
        f" {worst.answers_apart} answers differ"
    )


def _show_ratios(found: RunComparison) -> None:
    for ratio in found.ratios:
        _say(
            f"{ratio.metric.label}, second over first: {ratio.median:.2f}"
            f" ({ratio.low:.2f} … {ratio.high:.2f}, {ratio.trials} trials)"
        )
    if found.shared:
        _say(f"timings of {found.shared} trials are not compared: their device was shared")
    elif not found.ratios:
        _say("no timings can be compared: no trial is in both runs in one environment")


def _verdicts(found: RunComparison) -> Iterator[str]:
    judged = [drift for drift in found.drifts if drift.is_judged]
    drifted = [drift.first.name for drift in judged if drift.is_drift]
    unjudged = sum(drift.p is None and drift.difference is not None for drift in found.drifts)
    if unjudged:
        yield (
            f"drift cannot be judged in {unjudged} of {unjudged + len(judged)} comparisons: one"
            " seed speaks of other data only; more are run by: paretune confirm RUN"
        )
    if drifted:
        counts = f"{len(drifted)} of {len(judged)} comparisons"
        yield f"drift beyond noise in {counts}: {', '.join(drifted)}"
    elif judged:
        yield f"no drift beyond noise in {len(judged)} comparisons"
    elif not unjudged:
        yield "nothing to tell of drift: no test accuracies can be compared"


def _label(index: int) -> str:
    """How tables call an environment."""
    return f"env {index + 1}"


def _environment(environment: Environment) -> str:
    return (
        f"{environment.device}, {environment.precision}, {environment.threads} threads,"
        f" attention {environment.attention}, Python {environment.python}"
        f"{', compiled' if environment.compiled else ''}"
    )


def _print(table: Table) -> None:
    out.print(table)
    out.print()


def _document(found: RunComparison) -> dict[str, Any]:
    return {
        "drifted": found.has_drifted,
        "asked": found.asked,
        "environments": [one.model_dump(exclude={"system"}) for one in found.environments],
        "accuracies": [_drift_document(drift) for drift in found.drifts],
        "only": found.only,
        "jitter": [_jitter_document(jitter) for jitter in found.jitters],
        "ended_differently": [
            [twin.first.trial, twin.first.status, twin.second.trial, twin.second.status]
            for twin in found.ends
        ],
        "ratios": {ratio.metric.name: _ratio_document(ratio) for ratio in found.ratios},
        "shared": found.shared,
    }


def _drift_document(drift: Drift) -> dict[str, Any]:
    return {
        "first": _sample_document(drift.first),
        "second": _sample_document(drift.second),
        "same_code": drift.same_code,
        "difference": drift.difference and asdict(drift.difference),
        "p": drift.p,
        "is_drift": drift.is_drift,
    }


def _sample_document(sample: Sample) -> dict[str, Any]:
    return {
        "configuration": sample.name,
        "values": sample.trial.values,
        "environment": sample.environment,
        "test_questions": sample.data,
        "accuracy": asdict(sample.accuracy),
        "seeds": {str(seed): float(row.mean())
                  for seed, row in zip(sample.seeds, sample.right, strict=True)},
    }  # fmt: skip


def _jitter_document(jitter: Jitter) -> dict[str, Any]:
    return {
        "same_code": jitter.same_code,
        "same_environment": jitter.same_environment,
        "trials": len(jitter.twins),
        "equal": jitter.equal,
        "unequal": [
            {
                "first": twin.first.trial,
                "second": twin.second.trial,
                "validation": twin.validation_apart,
                "answers": twin.answers_apart,
            }
            for twin in jitter.twins
            if not twin.is_equal
        ],
    }


def _ratio_document(ratio: Ratio) -> dict[str, float]:
    return {"median": ratio.median, "low": ratio.low, "high": ratio.high, "trials": ratio.trials}


def _say(*lines: str) -> None:
    for line in lines:
        out.print(plain(line), markup=False, highlight=False, soft_wrap=True)
