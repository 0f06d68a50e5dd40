"""What a careful reader of a report should look into."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain

from bench.metrics import ACCURACY
from bench.metrics import METRICS as SCORES
from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from bench.space import LEARNING_RATE
from reports import show
from reports.analysis import Analysis
from reports.devices import device_note
from reports.escape import Markdown, markdown, without_folders
from reports.facts import environment_values
from reports.repeats import confirmed
from reports.standings import best_trials

EDGE = 0.05
"""Outer share of a learning rate's logarithmic range that asks for a wider range.

Source: arXiv 2602.04998, where rankings of methods turned on the learning rate's range.
"""

CUT = 0.05
"""Share of cut sequences from which on the report warns."""


def timed(analysis: Analysis) -> tuple[TrialRecord, ...]:
    """The trials whose timings the leaderboard shows: the search's before any test."""
    runs = tuple(run for entry in analysis.leaders for run in entry.confirmed.runs)
    return runs or analysis.run.searched


def tested(analysis: Analysis) -> tuple[TrialRecord, ...]:
    """The runs of all candidates that have a test score."""
    return tuple(run for entry in analysis.entries for run in entry.confirmed.runs)


def shared(records: Iterable[TrialRecord]) -> int:
    """How many of the trials were timed on a device that others may have used."""
    return sum(record.was_shared for record in records)


def timing_note(records: Sequence[TrialRecord]) -> Markdown | None:
    """A flag on timings, to stand beside them, if any was taken on a shared device.

    Args:
        records: trials whose timings are shown.
    """
    count, measured = shared(records), sum(record.seconds is not None for record in records)
    if not count:
        return None
    return Markdown(
        f"**Timings are not comparable: device shared** during {count} of {measured} trials."
    )


def warnings(analysis: Analysis) -> list[Markdown]:
    """All of them, for a list of their own; empty if nothing stands out."""
    run, study, shown = analysis.run, analysis.run.study, timed(analysis)
    found = chain(
        filter(None, (timing_note(shown), device_note(shown))),
        _edges(run),
        _mixed(run),
        _data(run),
        _objective(run),
        _baselines(analysis),
        (f"Left out: {markdown(without_folders(text))}" for text in study.left_out),
        (f"Found: {markdown(without_folders(text))}." for text in study.notices),
    )
    return [Markdown(text) for text in found]


def _objective(run: Run) -> Iterable[str]:
    """What figures are of, where the search went by another metric than accuracy."""
    if run.study.objective != ACCURACY:
        label = SCORES[run.study.objective].label
        yield (
            f"The search went by {label}: it chose epochs and configurations, made the front of the"
            " search and orders the leaderboard. Intervals, tests of differences, ranks and charts"
            " are of accuracy."
        )


def _edges(run: Run) -> Iterable[str]:
    frozen = {one.candidate.arm: one.trial for one in confirmed(run) if one.candidate.is_best}
    for arm, record in {**best_trials(run.searched), **frozen}.items():
        searched = run.study.range_of(arm, LEARNING_RATE)
        end = searched and edge(record.learning_rate, searched.low, searched.high)
        if searched and end:
            yield (
                f"**{markdown(arm)}**: the chosen learning rate, {record.learning_rate:.2g}, lies"
                f" in the {end} {EDGE:.0%} of its range ({searched.low:g} to"
                f" {searched.high:g}, in the logarithm): a wider range may change the arm's place."
            )


def edge(value: float, low: float, high: float) -> str | None:
    """``lowest`` or ``highest`` if the value lies in that outer part of its logarithmic range."""
    if not 0 < low < high or value <= 0:
        return None
    place = math.log(value / low) / math.log(high / low)
    if place <= EDGE:
        return "lowest"
    return "highest" if place >= 1 - EDGE else None


_ALIKE = ("device", "precision", "attention", "compiled", "python", "system", "packages")
"""What all trials of a study must share; threads only those of the search, and those after it."""


def _mixed(run: Run) -> Iterable[str]:
    yield from _differing("Trials", (*run.searched, *run.confirmed), _ALIKE)
    yield from _differing("Trials of the search", run.searched, ("threads",))
    yield from _differing("Trials on fresh seeds", run.confirmed, ("threads",))


def _differing(who: str, records: Iterable[TrialRecord], names: Iterable[str]) -> Iterable[str]:
    seen = [record.environment for record in records if record.environment]
    for name in names:
        values = environment_values(seen, name)
        if len(values) > 1:
            yield (
                f"{who} differ in {name} ({'; '.join(markdown(value) for value in values)}):"
                " their timings, and perhaps their accuracies, are not comparable."
            )


def _data(run: Run) -> Iterable[str]:
    study = run.study
    if study.truncated >= CUT:
        yield (
            f"{study.truncated:.1%} of the sequences were cut at {study.settings.max_length}"
            " tokens."
        )
    scored = [record for record in (*run.searched, *run.confirmed) if record.test]
    old = sum(not study.is_tested(record) for record in scored)
    if old:
        yield (
            f"{old} of {len(scored)} test scores are of other test {run.study.words.examples} than"
            " the study's: no figure uses them."
        )


def _baselines(analysis: Analysis) -> Iterable[str]:
    """Arms that are no better than the best baseline: by their interval on test, if there is one.

    Guessing alone would not do: where one label is far more frequent than the others, whoever
    always gives that one is more accurate than guessing and has learnt nothing.
    """
    run = analysis.run
    best = max(run.study.baselines, key=lambda baseline: baseline.scores[ACCURACY])
    height = best.scores[ACCURACY]
    below: dict[str, list[str]] = {}
    for entry in analysis.leaders:
        if entry.accuracy.low <= height:
            how = "Worse than" if entry.accuracy.high < height else "Cannot be told from"
            below.setdefault(how, []).append(entry.arm)
    if not analysis.leaders:
        below["No better than"] = [
            arm
            for arm, record in best_trials(run.searched).items()
            if record.accuracy and record.accuracy.validation <= height
        ]
    told = f"{markdown(best.said)} ({show.share(height)} on validation)"
    for how in sorted(below):
        if below[how]:
            yield f"{how} {told}: {', '.join(map(markdown, below[how]))}."
