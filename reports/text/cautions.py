"""What a careful reader of a report should look into."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain

from bench.record import Environment, TrialRecord
from bench.space import LEARNING_RATE
from bench.study_record import Run, StudyRecord
from reports import show
from reports.escape import Markdown, markdown, without_folders
from reports.standings import best_trials

EDGE = 0.05
"""Outer share of a learning rate's logarithmic range that asks for a wider range.

Source: arXiv 2602.04998, where rankings of methods turned on the learning rate's range.
"""

CUT = 0.05
"""Share of cut sequences from which on the report warns."""


def timed(run: Run) -> tuple[TrialRecord, ...]:
    """The trials whose timings the leaderboard shows: those on fresh seeds, if there are any."""
    return run.confirmed or run.searched


def timing_note(records: Sequence[TrialRecord]) -> Markdown | None:
    """A flag on timings, to stand beside them, if any was taken on a shared device.

    Args:
        records: trials whose timings are shown.
    """
    spans = [record.seconds for record in records if record.seconds]
    shared = sum(span.device_shared for span in spans)
    if not shared:
        return None
    return Markdown(
        f"**Timings are not comparable: device shared** during {shared} of {len(spans)} trials."
    )


def warnings(run: Run) -> list[Markdown]:
    """All of them, for a list of their own; empty if nothing stands out."""
    everything = (*run.searched, *run.confirmed)
    timing, study = timing_note(timed(run)), run.study
    found = chain(
        [timing] if timing else [],
        _edges(study, best_trials(run.searched)),
        _mixed(everything),
        _data(study, everything),
        _guessing(study, run.searched),
        (f"Left out: {markdown(without_folders(text))}" for text in study.left_out),
        (f"Found: {markdown(without_folders(text))}." for text in study.notices),
    )
    return [Markdown(text) for text in found]


def _edges(study: StudyRecord, chosen: dict[str, TrialRecord]) -> Iterable[str]:
    for arm, record in chosen.items():
        bounds = study.bounds.get(arm, {}).get(LEARNING_RATE)
        end = bounds and edge(record.learning_rate, *bounds)
        if bounds and end:
            yield (
                f"**{markdown(arm)}**: the best learning rate, {record.learning_rate:.2g}, lies in"
                f" the {end} {EDGE:.0%} of its range ({bounds[0]:g} to {bounds[1]:g}, in the"
                " logarithm): a wider range may change the arm's place."
            )


def edge(value: float, low: float, high: float) -> str | None:
    """``lowest`` or ``highest`` if the value lies in that outer part of its logarithmic range."""
    if not 0 < low < high or value <= 0:
        return None
    place = math.log(value / low) / math.log(high / low)
    if place <= EDGE:
        return "lowest"
    return "highest" if place >= 1 - EDGE else None


_MUST_AGREE = ("device", "precision", "threads", "attention", "python", "system", "packages")


def _mixed(records: Sequence[TrialRecord]) -> Iterable[str]:
    seen = [record.environment for record in records if record.environment]
    for name in _MUST_AGREE:
        values = environment_values(seen, name)
        if len(values) > 1:
            yield (
                f"Trials differ in {name} ({'; '.join(markdown(value) for value in values)}):"
                " their timings, and perhaps their accuracies, are not comparable."
            )


def environment_values(seen: Iterable[Environment], name: str) -> list[str]:
    """The different values of one field of the environments, as text, in order of appearance."""
    values = (getattr(environment, name) for environment in seen)
    texts = (
        ", ".join(f"{key} {version}" for key, version in sorted(value.items()))
        if isinstance(value, dict)
        else str(value)
        for value in values
    )
    return list(dict.fromkeys(texts))


def _data(study: StudyRecord, records: Sequence[TrialRecord]) -> Iterable[str]:
    if study.truncated >= CUT:
        yield (
            f"{study.truncated:.1%} of the sequences were cut at {study.settings.max_length}"
            " tokens."
        )
    if len({record.test.data for record in records if record.test}) > 1:
        yield "Test accuracies were scored on different test questions: they do not compare."


def _guessing(study: StudyRecord, searched: Sequence[TrialRecord]) -> Iterable[str]:
    below = [
        markdown(record.arm)
        for record in best_trials(searched).values()
        if record.accuracy and record.accuracy.validation <= study.chance
    ]
    if below:
        yield f"No better than guessing ({show.share(study.chance)}): {', '.join(below)}."
