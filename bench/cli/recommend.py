"""The command ``paretune recommend``: the configuration to take under limits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.cli.console import SOME_FAILED, SUCCESS, out
from bench.cli.recipe import command_for, inputs_of, program_for
from bench.errors import Faults, InputError, LedgerError
from bench.plugins import file_name
from bench.records.study_record import StudyRecord
from bench.records.trial_record import TrialRecord
from bench.storage.files import Location
from bench.storage.ledger import Ledger
from bench.units import amount
from reports import show
from reports.analysis import Analysis, Entry, analyse
from reports.devices import device_line, devices_of
from reports.escape import plain
from reports.metrics import COLUMNS, besides_accuracy, metric
from reports.metrics import tested as objective
from reports.recommend import Advice, Limit, Nothing, Versus, Wishes, recommend, turned
from reports.statistics.uncertainty import Estimate
from reports.text.cautions import tested

COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
BYTES = {
    "": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
MILLISECONDS = {"": 1, "ms": 1, "s": 1000}
SHARES = {"": 1.0, "%": 0.01}

OPTIONS = {
    "--max-parameters": ("trained_parameters", COUNTS, "300k, 1.2M or 74113"),
    "--max-ms": ("inference_ms_p50", MILLISECONDS, "5, 0.8ms or 1s"),
    "--max-bytes": ("stored_bytes", BYTES, "5MB, 5MiB or 300000"),
}
"""Metric, units and examples of every limit."""

ACCURACY = "--min-accuracy"


def make_wishes(asked: Mapping[str, str | None]) -> Wishes:
    """What is asked of a configuration.

    Args:
        asked: text per option of ``OPTIONS`` and ``ACCURACY``; ``None`` if it was not given.

    Raises:
        InputError: with a sentence per option that is no limit.
    """
    faults = Faults()
    limits = []
    for option, (name, units, examples) in OPTIONS.items():
        text = asked.get(option)
        most = None if text is None else amount(text, units)
        if most is not None:
            limits.append(Limit(option=option, metric=name, most=most))
        elif text is not None:
            faults.add(f"{option} {text}: must be a number above 0 such as {examples}")
    text = asked.get(ACCURACY)
    accuracy = None if text is None else amount(text, SHARES)
    if text is not None and (accuracy is None or accuracy > 1):
        faults.add(f"{ACCURACY} {text}: must be above 0 and at most 1, such as 0.6 or 60%")
    faults.raise_any(InputError)
    return Wishes(limits=tuple(limits), accuracy=accuracy)


LATENCY = "inference_ms_p50"


def advice_document(advice: Advice, wishes: Wishes, goals: Sequence[str]) -> dict[str, Any]:
    """The configuration to take and what it was weighed against.

    Args:
        advice: the recommendation.
        wishes: what was asked.
        goals: metric on test that configurations are ordered by; none for accuracy.
    """
    return {
        **_entry_document(advice.chosen),
        **{name: advice.chosen.cost(name) for name in goals},
        "asked": _wishes_document(wishes),
        "among": advice.among,
        "low_among": advice.low,
        "reached": advice.reached,
        "best": advice.best and _versus_document(advice.best),
        "cheaper": [_versus_document(one) for one in advice.cheaper],
    }


def nothing_document(found: Nothing, wishes: Wishes) -> dict[str, Any]:
    """What excludes every configuration, and the nearest miss."""
    return {
        "configuration": None,
        "asked": _wishes_document(wishes),
        "excluded": {
            limit.option: [entry.confirmed.name for entry in entries]
            for limit, entries in found.excluded
        },
        "inaccurate": [entry.confirmed.name for entry in found.inaccurate],
        "nearest": _entry_document(found.nearest),
    }


def _wishes_document(wishes: Wishes) -> dict[str, float | None]:
    limits = {limit.option: limit.most for limit in wishes.limits}
    return {**limits, "--min-accuracy": wishes.accuracy}


def _entry_document(entry: Entry) -> dict[str, Any]:
    trial = entry.confirmed.trial
    runs = [run for run in entry.confirmed.runs if run.test]
    return {
        "configuration": trial.trial,
        "arm": trial.arm,
        "strategy": trial.strategy,
        "knobs": trial.knobs,
        "learning_rate": trial.learning_rate,
        "accuracy": asdict(entry.accuracy),
        "seeds": {str(run.seed): value
                  for run, value in zip(runs, entry.seeds.values, strict=True)},
        "front_probability": entry.front_probability,
        "device_shared": entry.confirmed.was_shared,
        "devices": devices_of(entry.confirmed.runs),
        **{name: entry.cost(name) for name in ("trained_parameters", LATENCY, "stored_bytes")},
    }  # fmt: skip


def _versus_document(one: Versus) -> dict[str, Any]:
    return {
        **_entry_document(one.other),
        "difference": asdict(one.difference),
        "p": one.p,
        "is_different": one.is_different,
    }


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to go on with the configuration.

    Attributes:
        command: trains it again, in a shell.
        program: the same in Python; ``None`` if its strategy is not installed.
        export: writes what its trial has trained, in a shell.
        train: trains it on all data but the test's, in a shell.
    """

    command: str
    program: str | None
    export: str
    train: str


def show_recommendation(folder: Location, asked: Mapping[str, str | None], *, as_json: bool) -> int:
    """Prints the configuration to take, and returns the exit code: 1 if none fits.

    Args:
        folder: the run folder.
        asked: text per option, see ``bench.cli.recommend.make_wishes``.
        as_json: one JSON document instead.

    Raises:
        InputError: it is no run folder, nothing in it has a test score yet, or an option is no
            limit.
    """
    wishes, analysis = _checked(folder, asked)
    run = analysis.run
    found = recommend(analysis, wishes)
    notices = list(_notices(analysis, wishes, found))
    if isinstance(found, Nothing):
        _show_nothing(found, wishes, notices, as_json=as_json)
        return SOME_FAILED
    trial, goals = found.chosen.confirmed.trial, _goals(run.study)
    inputs, name = inputs_of(run.study), file_name(trial.trial)
    recipe = Recipe(
        command=command_for(run.study, trial, inputs),
        program=program_for(run.study, trial, inputs),
        export=shlex.join(["paretune", "export", str(folder), trial.trial, "--to", name]),
        train=shlex.join(["paretune", "train", str(folder), trial.trial, "--to", f"{name}-final"]),
    )
    if as_json:
        ways = {"command": recipe.command, "python": recipe.program}
        ways |= {"export": recipe.export, "train": recipe.train}
        _print_json(advice_document(found, wishes, goals) | {"notices": notices} | ways)
    else:
        _show_advice(found, _facts(found, wishes, goals), goals, notices)
        _show_recipe(recipe, trial)
    return SUCCESS


def _checked(folder: Location, asked: Mapping[str, str | None]) -> tuple[Wishes, Analysis]:
    faults, wishes, analysis = Faults(), Wishes(), None
    with faults.gathered():
        wishes = make_wishes(asked)
    with faults.gathered():
        analysis = analyse(Ledger(folder).run())
        if not analysis.entries:
            again = f"paretune confirm {shlex.quote(str(folder))}"
            raise LedgerError(f"{folder}: no configuration has a test score yet; run: {again}")
    faults.raise_any()
    assert analysis is not None
    return wishes, analysis


def _notices(analysis: Analysis, wishes: Wishes, found: Advice | Nothing) -> Iterable[str]:
    """What the reader has to know of the figures that decided."""
    if isinstance(found, Advice) and found.among > 1:
        yield (
            f"chosen among {found.among} configurations by their test answers: its accuracy is"
            " likely to be a little too high, and any it cannot be told apart from may be as good"
        )
    for goal in _goals(analysis.run.study) if isinstance(found, Advice) else ():
        yield (
            f"configurations are ordered by {COLUMNS[goal].label}, the median over seeds, which the"
            " study searched; intervals, and what can be told apart, are of accuracy"
        )
    timed = any(limit.metric == LATENCY for limit in wishes.limits)
    shared = [entry for entry in analysis.entries if entry.confirmed.was_shared]
    if timed and shared:
        yield (
            f"--max-ms judges timings that are not comparable: {len(shared)} of"
            f" {len(analysis.entries)} configurations were timed on a device that other trials"
            " may have used meanwhile"
        )
    if timed and (line := device_line(tested(analysis))):
        yield f"--max-ms judges {line}"
    if any(len(entry.seeds.values) == 1 for entry in analysis.entries):
        yield "intervals of a single seed speak of other data, not of other seeds"


def _goals(study: StudyRecord) -> tuple[str, ...]:
    """The metric on test that configurations are ordered by, unless that is accuracy."""
    return besides_accuracy(study, objective(study))


def _show_advice(
    advice: Advice, facts: Iterable[tuple[str, str]], goals: Sequence[str], notices: Iterable[str]
) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, Text(plain(text)))
    out.print(Text(plain(_label(advice.chosen)), "bold"))
    out.print(table)
    if advice.cheaper:
        apart = "cannot be told apart from it" + (" in accuracy" if goals else "")
        _say("", f"fit as well with fewer parameters, and {apart}:")
        out.print(_cheaper(advice.cheaper, goals))
    for notice in notices:
        _say("", f"note: {notice}")


def _show_recipe(recipe: Recipe, trial: TrialRecord) -> None:
    if recipe.program is None:
        _say("", "to train it:", "", recipe.command, "")
        _say(f"its strategy {trial.strategy} is not installed here: none exports or trains it")
        return
    _say("", "to write its model for other tools:", "", recipe.export)
    _say("", "to train it on training and validation data together:", "", recipe.train)
    _say("", "to train it again as it was:", "", recipe.command)
    _say("", "or in Python:", "", *recipe.program.splitlines())


def _facts(advice: Advice, wishes: Wishes, goals: Sequence[str]) -> list[tuple[str, str]]:
    chosen = advice.chosen
    facts = [(COLUMNS[name].label, f"{_figure(chosen, name)}, median") for name in goals]
    facts.append(("test accuracy", f"{_estimate(chosen.accuracy)}, {_seeds(chosen)}"))
    if advice.reached:
        facts.append(("asked for", f"{wishes.accuracy:g}: {_reached(advice)}"))
    facts += [(COLUMNS[name].label, _figure(chosen, name)) for name in
              ("trained_parameters", LATENCY, "stored_bytes")]  # fmt: skip
    if advice.best is None:
        better = [f"a better median {COLUMNS[name].label}" for name in goals] or ["a higher mean"]
        return [*facts, ("given up", f"nothing: no tested configuration has {better[0]}")]
    best = advice.best.other
    figures = [f"{COLUMNS[name].label} {_figure(best, name)}" for name in goals]
    figures += [
        show.share(best.accuracy.value),
        f"{_figure(best, 'trained_parameters')} parameters",
    ]
    apart = f"{_estimate(turned(advice.best.difference))}: {_told(advice.best)}"
    return [
        *facts,
        ("less accurate by" if goals else "given up", apart),
        ("against", f"{_label(best)} ({', '.join(figures)})"),
    ]


def _reached(advice: Advice) -> str:
    widened = f", widened for the choice among {advice.among}," if advice.among > 1 else ""
    end = f"the lower end of its interval{widened}"
    low = show.share(advice.low)
    if advice.reached == "low":
        return f"even {end} reaches it: {low}"
    return f"only its mean reaches it; {end} is {low}"


def _told(one: Versus) -> str:
    verdict = "told apart" if one.is_different else "cannot be told apart"
    return f"{verdict}, p = {one.p:.2g}, corrected for all compared"


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} (95 % interval {estimate.low:.3f} … {estimate.high:.3f})"


def _seeds(entry: Entry) -> str:
    values = entry.seeds.values
    if len(values) == 1:
        return "1 seed"
    return f"{len(values)} seeds: {', '.join(show.share(value) for value in values)}"


def _figure(entry: Entry, name: str) -> str:
    return show.figure(metric(name), entry.cost(name)) or "not measured"


def _label(entry: Entry) -> str:
    trial = entry.confirmed.trial
    return f"{trial.trial}: {show.knobs(trial.values)}"


def _cheaper(cheaper: Iterable[Versus], goals: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.caption_justify = "left"
    table.caption = Text(
        "…: 95 % interval of that difference alone; p: corrected for all compared", "dim"
    )
    table.add_column("configuration", overflow="fold")
    named = [COLUMNS[name].label for name in goals]
    for heading in ("parameters", *named, "test accuracy", "less accurate by", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in cheaper:
        low, high = one.difference.low, one.difference.high
        table.add_row(
            Text(plain(_label(one.other))),
            _figure(one.other, "trained_parameters"),
            *(_figure(one.other, name) for name in goals),
            show.share(one.other.accuracy.value),
            f"{one.difference.value:.3f} ({low:.3f} … {high:.3f})",
            f"{one.p:.2g}",
        )
    return table


def _show_nothing(found: Nothing, wishes: Wishes, notices: list[str], *, as_json: bool) -> None:
    if as_json:
        _print_json(nothing_document(found, wishes) | {"notices": notices})
        return
    _say("no tested configuration fits:")
    for limit, entries in found.excluded:
        told = [f"{e.confirmed.name} ({_figure(e, limit.metric)})" for e in entries]
        _say(f"  {limit.option} {_limit(limit)} excludes {_counted(told)}")
    if wishes.accuracy is not None:
        told = [f"{e.confirmed.name} ({show.share(e.accuracy.value)})" for e in found.inaccurate]
        _say(f"  --min-accuracy {wishes.accuracy:g} excludes {_counted(told)}")
    _say(f"nearest: {_label(found.nearest)}")
    for text in _misses(found.nearest, wishes):
        _say(f"  {text}")
    for notice in notices:
        _say(f"note: {notice}")


def _limit(limit: Limit) -> str:
    return show.figure(metric(limit.metric), limit.most)


def _counted(told: Sequence[str]) -> str:
    return f"{len(told)}: {', '.join(told)}" if told else "none"


def _misses(entry: Entry, wishes: Wishes) -> Iterable[str]:
    for limit in wishes.limits:
        if limit.excess(entry) > 1:
            label = metric(limit.metric).label
            yield f"{label} {_figure(entry, limit.metric)}, allowed {_limit(limit)}"
    if not wishes.reached(entry):
        yield f"test accuracy {_estimate(entry.accuracy)}, asked {wishes.accuracy:g}"


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document))  # noqa: T201


def _say(*lines: str) -> None:
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip(" ")))
        out.print(f"{indent}{plain(line)}", markup=False, highlight=False, soft_wrap=True)
