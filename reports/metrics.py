"""The figures people sort and plot trials by, each with its direction, label and unit.

Tables, plots and sorting ask this table; none of them knows a metric by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bench.errors import StudyError
from bench.metrics import ACCURACY
from bench.metrics import METRICS as SCORES
from bench.records.study_record import StudyRecord
from bench.records.trial_record import TrialRecord

Unit: TypeAlias = Literal["share", "count", "s", "ms", "bytes", "per s"]


@dataclass(frozen=True, kw_only=True)
class TrialFigure:
    """One figure of a trial.

    Attributes:
        name: its column in tables and its name on the command line.
        label: its heading for people.
        unit: what it is counted in; ``share`` is one of examples, or lies in the same range.
        higher_is_better: its direction.
        path: where a ``TrialRecord`` keeps it, attributes joined by dots.
    """

    name: str
    label: str
    unit: Unit
    higher_is_better: bool
    path: str

    def read(self, record: TrialRecord) -> float | None:
        """The figure of one trial; ``None`` where it was not measured."""
        value: float | None = at(record, self.path)
        return value

    @property
    def pointed(self) -> str:
        """Its label with an arrow to where better values are."""
        return f"{self.label} {'↑' if self.higher_is_better else '↓'}"

    @property
    def end(self) -> str:
        """Where better values are, as a word."""
        return "highest" if self.higher_is_better else "lowest"

    def sort_key(self, value: float) -> float:
        """A key that sorts better values first."""
        return -value if self.higher_is_better else value


def at(record: TrialRecord, path: str) -> Any:
    """The value under a dotted path; ``None`` if anything on the way is not there."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else getattr(value, name)
        if value is None:
            return None
    return value


def _higher(name: str, label: str, unit: Unit, path: str) -> TrialFigure:
    return TrialFigure(name=name, label=label, unit=unit, higher_is_better=True, path=path)


def _lower(name: str, label: str, unit: Unit, path: str) -> TrialFigure:
    return TrialFigure(name=name, label=label, unit=unit, higher_is_better=False, path=path)


def _latency(name: str, label: str, group: str) -> Iterator[TrialFigure]:
    """Median, spread and tail of one latency; ``name`` has a place for which of them."""
    words = {"p50": "median", "iqr": "interquartile range", "p95": "95th percentile"}
    for field, said in words.items():
        path = f"inference.{group}.{field}"
        yield _lower(name.format(field), f"{label}, {said}", "ms", path)


def _of_answers(split: str, place: str) -> Iterator[TrialFigure]:
    """What answers are judged by, besides accuracy; ``place`` is where records keep it."""
    for one in SCORES.values():
        if one.name != ACCURACY:
            make = _higher if one.higher_is_better else _lower
            label, path = f"{split} {one.label}", f"{place}.{one.name}"
            yield make(f"{split}_{one.name}", label, "share", path)


def searched(study: StudyRecord) -> str:
    """The metric that a study's search goes by."""
    return f"validation_{study.objective}"


def tested(study: StudyRecord) -> str:
    """The same on test."""
    return f"test_{study.objective}"


def besides_accuracy(study: StudyRecord, name: str) -> tuple[str, ...]:
    """A metric that the search goes by, where that is not accuracy: what stands beside accuracy.

    Args:
        study: of the run.
        name: ``searched`` or ``tested`` of it.
    """
    return (name,) if study.objective != ACCURACY else ()


JUDGED = tuple(f"test_{name}" for name in SCORES)
"""What answers to the test split are judged by."""

COLUMNS = {
    metric.name: metric
    for metric in (
        _higher("accuracy_before", "accuracy before", "share", "accuracy.before"),
        _higher("validation_accuracy", "validation accuracy", "share", "accuracy.validation"),
        _higher("test_accuracy", "test accuracy", "share", "test.accuracy"),
        *_of_answers("validation", "scores.validation"),
        *_of_answers("test", "test.scores"),
        _lower("trained_parameters", "trained parameters", "count", "parameters.trained"),
        _lower("head_parameters", "head parameters", "count", "parameters.head"),
        _lower("total_parameters", "total parameters", "count", "parameters.total"),
        _lower("trained_tensors", "trained tensors", "count", "parameters.trained_tensors"),
        _lower("stored_bytes", "stored size", "bytes", "parameters.stored_bytes"),
        _lower("train_seconds", "training time", "s", "seconds.train"),
        _lower("inference_seconds", "inference time", "s", "inference.seconds"),
        _lower("peak_bytes", "peak memory", "bytes", "peak_bytes"),
        _higher(
            "questions_per_second",
            "throughput",
            "per s",
            "inference.questions_per_second",
        ),
        *_latency("inference_ms_{}", "latency", "single"),
        *_latency("inference_ms_{}_undeployed", "latency before deploy", "undeployed"),
        *_latency("batched_ms_{}", "latency in batches", "batched"),
        *_latency(
            "batched_ms_{}_undeployed", "latency in batches before deploy", "undeployed_batched"
        ),
        _lower(
            "added_at_inference",
            "parameters added at inference",
            "count",
            "parameters.added_at_inference",
        ),
    )
}
"""All metrics by name."""


def metric(name: str) -> TrialFigure:
    """The metric of that name.

    Raises:
        StudyError: there is none.
    """
    try:
        return COLUMNS[name]
    except KeyError:
        raise StudyError(f"sort must be one of {', '.join(COLUMNS)}; got {name!r}") from None
