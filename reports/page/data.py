"""The data of the page: one copy of the trials as columns, and the few rows of everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from bench.space import LEARNING_RATE, Choice, Value
from reports.analysis import Analysis
from reports.charts.cost import PANELS, cost_rows, leaders
from reports.charts.front import entry_rows, front_rows
from reports.charts.vega import arm_names
from reports.metrics import COLUMNS
from reports.page.text import clean
from reports.standings import completed

Json: TypeAlias = Any

DRAWN = 200
"""Search trials of an arm that curves and parallel coordinates show: its best ones."""


def page_data(analysis: Analysis) -> dict[str, Json]:
    """Everything but the specifications that the page's script needs.

    Args:
        analysis: the run.
    """
    run = analysis.run
    trials = all_trials(run)
    return {
        "arms": [clean(arm) for arm in arm_names(run)],
        "trials": columns(trials),
        "axes": {clean(arm): axes(run, arm) for arm in run.study.spaces},
        "drawn": drawn(run, trials),
        "curves": curves(run, trials),
        "entries": entry_rows(analysis),
        "front": front_rows(analysis),
        "costs": [row for panel in PANELS for row in cost_rows(panel, leaders(analysis))],
        "hypervolume": series(analysis.hypervolume_by_trial),
        "expected": series(analysis.expected_best),
    }


def all_trials(run: Run) -> list[TrialRecord]:
    """The search's trials, then those on fresh seeds."""
    place = {arm: index for index, arm in enumerate(arm_names(run))}

    def order(record: TrialRecord) -> tuple[int, int, int, str]:
        return (place[record.arm], record.number, record.seed, record.fingerprint)

    return sorted(run.searched, key=order) + sorted(run.confirmed, key=order)


def number(value: float | None, digits: int = 4) -> float | None:
    """A figure to so many significant digits; whole numbers stay whole."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{digits}g}")


def columns(trials: Sequence[TrialRecord]) -> dict[str, Json]:
    """One list per field, all of the same length; knobs likewise, by name."""
    knobs = dict.fromkeys(name for record in trials for name in record.values)
    knobs[LEARNING_RATE] = knobs.pop(LEARNING_RATE, None)
    read: dict[str, Callable[[TrialRecord], Json]] = {
        "trial": lambda record: clean(record.trial),
        "arm": lambda record: clean(record.arm),
        "phase": lambda record: "fresh seed" if record.confirms else "search",
        "status": lambda record: record.status.replace("_", " "),
        **{field: _reader(name) for field, name in FIGURES.items()},
    }
    return {
        **{field: packed([one(record) for record in trials]) for field, one in read.items()},
        "knobs": {
            clean(knob): packed([value(record.values.get(knob)) for record in trials])
            for knob in knobs
        },
    }


FIGURES = {
    "accuracy": "validation_accuracy",
    "parameters": "trained_parameters",
    "seconds": "train_seconds",
    "latency": "inference_ms_p50",
}
"""Columns of figures, each with the metric it holds."""


def _reader(name: str) -> Callable[[TrialRecord], float | None]:
    return lambda record: number(COLUMNS[name].read(record), 6)


def packed(cells: Sequence[Json]) -> Json:
    """A column; one of few different texts is kept as those and their places."""
    texts = dict.fromkeys(cell for cell in cells if isinstance(cell, str))
    if not texts or len(texts) * 4 > len(cells):
        return cells
    place: dict[Json, int | None] = {text: index for index, text in enumerate(texts)}
    return {"of": list(texts), "at": [place.get(cell) for cell in cells]}


def value(knob: Value | None) -> Json:
    """A knob's value: a number as precise as it is shown, or text."""
    if knob is None or (isinstance(knob, int | float) and not isinstance(knob, bool)):
        return number(knob, 3)
    return clean(knob)


def axes(run: Run, arm: str) -> list[Json]:
    """How an arm's searched knobs are laid out: the ends of a range, or the options in order."""
    found = []
    mine = [record for record in run.searched if record.arm == arm]
    for knob, dimension in run.study.spaces[arm].items():
        if searched := run.study.range_of(arm, knob):
            low, high = float(searched.low), float(searched.high)
            found.append({"knob": clean(knob), "low": low, "high": high, "log": searched.log})
        else:
            seen = sorted({str(r.values[knob]) for r in mine if knob in r.values})
            named = dimension.options if isinstance(dimension, Choice) else [dimension]
            options = dict.fromkeys(map(clean, [*map(str, named), *seen]))
            found.append({"knob": clean(knob), "options": list(options)})
    return found


def drawn(run: Run, trials: Sequence[TrialRecord]) -> dict[str, list[int]]:
    """Places in ``trials`` of each arm's best search trials, the best last."""
    by_arm: dict[str, list[int]] = {arm: [] for arm in arm_names(run)}
    places = {record.fingerprint: place for place, record in enumerate(trials)}
    for record in sorted(completed(run.searched), key=_merit, reverse=True):
        if len(by_arm[record.arm]) < DRAWN:
            by_arm[record.arm].append(places[record.fingerprint])
    return {clean(arm): found[::-1] for arm, found in by_arm.items()}


def _merit(record: TrialRecord) -> tuple[float, int]:
    assert record.accuracy is not None  # completed() saw to it
    return (record.accuracy.validation, -record.number)


def curves(run: Run, trials: Sequence[TrialRecord]) -> dict[str, list[list[float | None]]]:
    """Per arm, of the trials drawn and then of fresh seeds: place, accuracy before, per epoch."""
    found = {}
    for arm, best in drawn(run, trials).items():
        again = [i for i, r in enumerate(trials) if r.confirms and clean(r.arm) == arm]
        found[arm] = [_curve(trials[place], place) for place in (*best, *again)]
    return found


def _curve(record: TrialRecord, place: int) -> list[float | None]:
    accuracy = record.accuracy
    told = (accuracy.before, *accuracy.per_epoch) if accuracy else ()
    return [place, *(number(share) for share in told)]


def series(by_arm: dict[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    """Figures after 1, 2, … trials."""
    return {clean(arm): [number(value) for value in values] for arm, values in by_arm.items()}
