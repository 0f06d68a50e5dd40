"""Trials that two runs have in common: what differs between repetitions, and how fast they are."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bench.records.spec import content_hash
from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Environment, TrialRecord
from reports.metrics import COLUMNS, TrialFigure

TIMINGS = ("train_seconds", "inference_ms_p50", "batched_ms_p50")
"""Metrics that are compared as ratios."""


@dataclass(frozen=True, kw_only=True)
class Twin:
    """One configuration with one seed, once in each run.

    Attributes:
        first: of the first run.
        second: of the second.
    """

    first: TrialRecord
    second: TrialRecord

    @property
    def same_code(self) -> bool:
        """Whether the code is known to be the same."""
        return self.first.fingerprint == self.second.fingerprint

    @property
    def same_environment(self) -> bool:
        """Whether device, precision, threads, attention, Python and packages are the same."""
        one, other = comparable(self.first.environment), comparable(self.second.environment)
        return one is not None and one == other

    @property
    def ended_differently(self) -> bool:
        """Whether one of them came to another end."""
        return self.first.status != self.second.status

    @property
    def validation_apart(self) -> float:
        """Validation accuracy of the second less that of the first; 0 where either has none."""
        one, other = self.first.accuracy, self.second.accuracy
        return other.validation - one.validation if one and other else 0.0

    @property
    def answers_apart(self) -> int:
        """Validation and test questions that were answered differently."""
        found = 0
        if self.first.accuracy and self.second.accuracy:
            found += _apart(self.first.accuracy.predictions, self.second.accuracy.predictions)
        one, other = self.first.test, self.second.test
        if one and other and one.data == other.data:
            found += _apart(one.predictions, other.predictions)
        return found

    @property
    def is_equal(self) -> bool:
        """Whether all that does not depend on the clock is equal to the last bit."""
        one, other = self.first, self.second
        epochs = [record.accuracy and record.accuracy.per_epoch for record in (one, other)]
        trained = [record.parameters and record.parameters.trained for record in (one, other)]
        return (
            not self.ended_differently
            and not self.answers_apart
            and epochs[0] == epochs[1]
            and trained[0] == trained[1]
        )


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """Trials of one kind that are in both runs.

    Attributes:
        same_code: see ``Twin``.
        same_environment: see ``Twin``; where both are the same every twin should be equal.
        twins: the trials, by name.
    """

    same_code: bool
    same_environment: bool
    twins: tuple[Twin, ...]

    @property
    def equal(self) -> int:
        """How many are equal to the last bit."""
        return sum(twin.is_equal for twin in self.twins)

    @property
    def worst(self) -> Twin:
        """The one whose validation accuracies, then answers, are furthest apart."""
        return max(self.twins, key=lambda twin: (abs(twin.validation_apart), twin.answers_apart))


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One timing of the second run as a multiple of the first one's, over twins.

    Attributes:
        metric: what was timed.
        median: of the ratios.
        low: the smallest.
        high: the largest.
        trials: twins that were timed alone on a device in one and the same environment.
    """

    metric: TrialFigure
    median: float
    low: float
    high: float
    trials: int


def all_records(run: Run) -> tuple[TrialRecord, ...]:
    """Trials of the search and on fresh seeds, former candidates among them."""
    return (*run.searched, *run.confirmed, *run.former)


def configuration(study: StudyRecord, record: TrialRecord) -> str:
    """Content hash of all that decides a result but seed and code."""
    data = [study.splits[split].fingerprint for split in ("train", "validation")]
    settings = asdict(study.settings)
    asked = [settings, study.model_fingerprint, study.tokenizer, *data]
    return content_hash([asked, record.strategy, record.knobs, record.learning_rate])


def comparable(environment: Environment | None) -> Environment | None:
    """Without the version of the operating system, which decides no result."""
    return environment and environment.model_copy(update={"system": ""})


def twins(first: Run, second: Run) -> Iterator[Twin]:
    """Trials with the same configuration and seed; of several, those of the same arm."""
    found: dict[tuple[str, int], list[TrialRecord]] = {}
    for record in all_records(second):
        found.setdefault((configuration(second.study, record), record.seed), []).append(record)
    for record in all_records(first):
        others = found.get((configuration(first.study, record), record.seed))
        if others:
            yield Twin(first=record, second=min(others, key=lambda o: _strangeness(record, o)))


def _strangeness(one: TrialRecord, other: TrialRecord) -> tuple[bool, bool, str]:
    return (one.fingerprint != other.fingerprint, one.arm != other.arm, other.trial)


def jitters(common: Sequence[Twin]) -> Iterator[Jitter]:
    """Twins with a result by kind, those that should be equal first."""
    sound = [twin for twin in common if twin.first.accuracy and twin.second.accuracy]
    for same_code, same_environment in itertools.product((True, False), repeat=2):
        kind = (same_code, same_environment)
        mine = [twin for twin in sound if (twin.same_code, twin.same_environment) == kind]
        if mine:
            yield Jitter(same_code=same_code, same_environment=same_environment, twins=tuple(mine))


def _apart(one: Sequence[int], other: Sequence[int]) -> int:
    """How many of the answers differ."""
    if len(one) != len(other):
        return max(len(one), len(other))
    return int(np.not_equal(one, other).sum())


def ratios(alone: Sequence[Twin]) -> Iterator[Ratio]:
    """Each of ``TIMINGS`` that both have, over twins that were timed alone in one environment."""
    for name in TIMINGS:
        metric = COLUMNS[name]
        both = [(metric.read(twin.first), metric.read(twin.second)) for twin in alone]
        found = [second / first for first, second in both if first and second]
        if found:
            yield Ratio(
                metric=metric,
                median=statistics.median(found),
                low=min(found),
                high=max(found),
                trials=len(found),
            )
