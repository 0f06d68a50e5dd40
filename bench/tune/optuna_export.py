"""A run's trials as Optuna studies, one per arm: in memory, or in a file for Optuna's tools."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.errors import InputError
from bench.metrics import METRICS as SCORES
from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import TrialRecord
from bench.space import Choice, Integer, Uniform, Value
from bench.storage.files import write_whole
from bench.tune.plan import STATES, directions, objectives
from reports.escape import headline
from reports.metrics import COLUMNS

SQLITE = b"SQLite format 3\0"
"""How every file of SQLite begins."""


def distributions(
    study: StudyRecord, records: Iterable[TrialRecord]
) -> dict[str, BaseDistribution]:
    """What an arm's searched knobs were drawn from, by name of the knob.

    Numeric knobs have the range that the study names; others the values that were seen.

    Args:
        study: of the records.
        records: trials of one arm; one or more.
    """
    seen = list(records)
    arm = seen[0].arm
    found: dict[str, BaseDistribution] = {}
    for knob, dimension in sorted(study.spaces.get(arm, {}).items()):
        values = [record.values[knob] for record in seen if knob in record.values]
        if searched := study.range_of(arm, knob):
            found[knob] = _range(searched, values)
        elif len(set(values)) > 1 or isinstance(dimension, Choice):
            found[knob] = CategoricalDistribution(sorted(set(values), key=str))
    return found


def _range(searched: Uniform | Integer, values: Sequence[Value]) -> BaseDistribution:
    numbers = [value for value in values if isinstance(value, int | float)]
    low, high = min([searched.low, *numbers]), max([searched.high, *numbers])
    if numbers and all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=searched.log)
    return FloatDistribution(low, high, log=searched.log)


def arm_trials(run: Run, arm: str) -> list[FrozenTrial]:
    """The search trials of an arm as Optuna keeps them, in order of their numbers.

    Trials without a result are there with their state; what else is known of a trial is under its
    user attributes, the test accuracy of its fresh seeds among them.
    """
    mine = sorted((r for r in run.searched if r.arm == arm), key=lambda record: record.number)
    if not mine:
        return []
    known = distributions(run.study, mine)
    return [_trial(run, record, known) for record in mine]


def _trial(run: Run, record: TrialRecord, known: dict[str, BaseDistribution]) -> FrozenTrial:
    state = STATES.get(record.status, TrialState.FAIL)
    params = {knob: record.values[knob] for knob in known if knob in record.values}
    return create_trial(
        state=state,
        values=objectives(record) if state is TrialState.COMPLETE else None,
        params=params,
        distributions={knob: known[knob] for knob in params},
        user_attrs=_attributes(run, record),
    )


def _attributes(run: Run, record: TrialRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"trial": record.trial, "status": str(record.status)}
    if record.reason:
        found["reason"] = headline(record.reason)
    found |= {"fingerprint": record.fingerprint, "seed": record.seed}
    figures = {name: metric.read(record) for name, metric in COLUMNS.items()}
    found |= {name: value for name, value in figures.items() if value is not None}
    fresh = {
        str(again.seed): again.test.accuracy
        for again in sorted(run.confirmed, key=lambda again: again.seed)
        if again.confirms == record.fingerprint and again.test
    }
    if fresh:
        found["confirmed_test_accuracy"] = fresh
        found["confirmed_test_accuracy_mean"] = math.fsum(fresh.values()) / len(fresh)
    return found


def arm_study(run: Run, arm: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """The study of an arm, in a storage that has none of that name."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=arm, directions=directions(run.study.objective), storage=storage
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        searched = f"validation {SCORES[run.study.objective].label}"
        study.set_metric_names([searched, "trained parameters"])
    told = run.study
    for name, value in (
        ("study", told.name),
        ("strategy", told.arms[arm]),
        ("model", told.model),
        ("dataset", told.dataset),
        ("sampler", told.sampler),
        ("planned trials", told.planned[arm]),
    ):
        study.set_user_attr(name, value)
    study.add_trials(arm_trials(run, arm))
    return study


def export_studies(run: Run, path: Path) -> None:
    """Writes the studies of all arms into one SQLite file, whole or not at all.

    Args:
        run: all records.
        path: the file; one of SQLite that is there is replaced.

    Raises:
        InputError: another kind of file is there.
        StorageError: it cannot be written.
    """
    _check_replaceable(path)
    with tempfile.TemporaryDirectory(prefix="paretune-") as folder:
        file = Path(folder) / "optuna.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        for arm in run.study.arms:
            arm_study(run, arm, storage)
        storage.engine.dispose()
        content = file.read_bytes()
    write_whole(path, content)


def _check_replaceable(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, a file is needed")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(SQLITE)) != SQLITE:
                raise InputError(f"{path}: is no SQLite file and is not replaced; choose another")
