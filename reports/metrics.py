"""The figures people sort and plot trials by, each with its direction, label and unit.

Tables, plots and sorting ask this table; none of them knows a metric by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bench.errors import StudyError
from bench.record import TrialRecord

Unit: TypeAlias = Literal["share", "count", "s", "ms", "bytes", "questions/s"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a trial.

    Attributes:
        name: its column in tables and its name on the command line.
        label: its heading for people.
        unit: what it is counted in; ``share`` is of questions, 0 … 1.
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

    def rank(self, value: float) -> float:
        """A key that sorts better values first."""
        return -value if self.higher_is_better else value


def at(record: TrialRecord, path: str) -> Any:
    """The value under a dotted path; ``None`` if any group on the way was not reached."""
    value: Any = record
    for name in path.split("."):
        value = getattr(value, name)
        if value is None:
            return None
    return value


def _higher(name: str, label: str, unit: Unit, path: str) -> Metric:
    return Metric(name=name, label=label, unit=unit, higher_is_better=True, path=path)


def _lower(name: str, label: str, unit: Unit, path: str) -> Metric:
    return Metric(name=name, label=label, unit=unit, higher_is_better=False, path=path)


def _latency(name: str, label: str, group: str) -> Iterator[Metric]:
    """Median, spread and tail of one latency; ``name`` has a place for which of them."""
    words = {"p50": "median", "iqr": "interquartile range", "p95": "95th percentile"}
    for field, said in words.items():
        path = f"inference.{group}.{field}"
        yield _lower(name.format(field), f"{label}, {said}", "ms", path)


METRICS = {
    metric.name: metric
    for metric in (
        _higher("accuracy_before", "accuracy before", "share", "accuracy.before"),
        _higher("validation_accuracy", "validation accuracy", "share", "accuracy.validation"),
        _higher("test_accuracy", "test accuracy", "share", "test.accuracy"),
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
            "questions/s",
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


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        StudyError: there is none.
    """
    try:
        return METRICS[name]
    except KeyError:
        raise StudyError(f"sort must be one of {', '.join(METRICS)}; got {name!r}") from None
