"""Two runs side by side: which of their figures agree, and which have drifted beyond noise."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from bench.record import Environment, TrialRecord
from bench.space import Value
from bench.study_record import Run, StudyRecord
from reports.confirmed import Confirmed, Right, tested
from reports.statistics.pairwise import ALPHA, p_of_no_difference
from reports.statistics.uncertainty import Estimate, difference, mean_accuracy
from reports.twins import (
    Jitter,
    Ratio,
    Twin,
    all_records,
    comparable,
    configuration,
    jitters,
    ratios,
    twins,
    was_shared,
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The test answers of one configuration in one environment of one run.

    Attributes:
        name: of its search trial, such as ``lora-003``.
        values: knobs and learning rate by name.
        fingerprint: of its search trial.
        environment: place of its environment among those of the comparison.
        data: content hash of the test questions.
        seeds: of its runs.
        right: ``(seeds, questions)``.
        accuracy: their mean with its interval.
    """

    name: str
    values: dict[str, Value]
    fingerprint: str
    environment: int
    data: str
    seeds: tuple[int, ...]
    right: Right
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One configuration in both runs.

    Attributes:
        first: of the first run.
        second: of the second.
        same_code: whether the code is known to be the same, as their fingerprints are.
        difference: accuracy of the second less that of the first; ``None`` where the test
            questions differ, which is not compared, and so are the next two.
        p: of no difference, corrected for all that are compared by Holm's method.
        is_drift: whether that is below .05.
    """

    first: Sample
    second: Sample
    same_code: bool
    difference: Estimate | None = None
    p: float | None = None
    is_drift: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        asked: what the studies were asked differently: both values by name.
        environments: all that occur in either run.
        apart: where the environments differ: each one's value by name.
        drifts: configurations with test scores in both runs.
        jitters: trials with a result in both runs, by kind.
        ends: trials that ended differently in the two runs.
        ratios: of timings.
        only: tested configurations that the other run has not tested, of either run.
        shared: twins in one environment whose timings are left out, as a device was shared.
    """

    asked: dict[str, tuple[str, str]]
    environments: tuple[Environment, ...]
    apart: dict[str, tuple[str, ...]]
    drifts: tuple[Drift, ...]
    jitters: tuple[Jitter, ...]
    ends: tuple[Twin, ...]
    ratios: tuple[Ratio, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    shared: int

    @property
    def has_drifted(self) -> bool:
        """Whether any configuration has drifted beyond noise."""
        return any(drift.is_drift for drift in self.drifts)


def compare_runs(first: Run, second: Run) -> Comparison:
    """Groups what is the same in both runs and compares it; environments are never pooled.

    Two trials are of one configuration if strategy, knobs, learning rate, settings, model, and
    training and validation questions are equal.
    """
    environments = _environments((*all_records(first), *all_records(second)))
    common = sorted(twins(first, second), key=lambda twin: twin.first.trial)
    timed = [twin for twin in common if twin.same_code and twin.same_environment]
    alone = [twin for twin in timed if not was_shared(twin)]
    mine, others = _samples(first, environments), _samples(second, environments)
    return Comparison(
        asked=_asked(first.study, second.study),
        environments=environments,
        apart=_differing([_flat(environment) for environment in environments]),
        drifts=_drifts(mine, others),
        jitters=tuple(jitters(common)),
        ends=tuple(twin for twin in common if twin.ended_differently),
        ratios=tuple(ratios(alone)),
        only=(_names(mine, others), _names(others, mine)),
        shared=len(timed) - len(alone),
    )


def _environments(records: Iterable[TrialRecord]) -> tuple[Environment, ...]:
    found: list[Environment] = []
    for record in records:
        environment = comparable(record.environment)
        if environment is not None and environment not in found:
            found.append(environment)
    return tuple(found)


def _flat(environment: Environment) -> dict[str, str]:
    fields = environment.model_dump(exclude={"packages", "system"})
    return {name: str(value) for name, value in (fields | environment.packages).items()}


def _differing(values: Sequence[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys(name for one in values for name in one)
    rows = {name: tuple(one.get(name, "") for one in values) for name in names}
    return {name: row for name, row in rows.items() if len(set(row)) > 1}


def _asked(first: StudyRecord, second: StudyRecord) -> dict[str, tuple[str, str]]:
    told = []
    for study in (first, second):
        splits = {f"{name} questions": f"{split.questions} ({split.fingerprint})"
                  for name, split in study.splits.items()}  # fmt: skip
        settings = {name: str(value) for name, value in asdict(study.settings).items()}
        told.append(
            {
                "model": f"{study.model} ({study.model_fingerprint})",
                "tokenizer": study.tokenizer,
                "dataset": study.dataset,
                **splits,
                **settings,
                "paretune": study.paretune,
                "commit": study.commit or "",
            }
        )
    return {name: (row[0], row[1]) for name, row in _differing(told).items()}


def _samples(run: Run, environments: Sequence[Environment]) -> dict[str, list[Sample]]:
    """Per configuration, one sample for each environment and set of test questions."""
    found: dict[str, list[Sample]] = {}
    for one in tested(run):
        mine = found.setdefault(configuration(run.study, one.trial), [])
        mine.extend(_by_place(one, environments))
    return found


def _names(mine: dict[str, list[Sample]], others: dict[str, list[Sample]]) -> tuple[str, ...]:
    """Configurations that are not among the others."""
    return tuple(dict.fromkeys(s.name for key in mine if key not in others for s in mine[key]))


def _by_place(one: Confirmed, environments: Sequence[Environment]) -> Iterator[Sample]:
    places: dict[tuple[int, str], list[TrialRecord]] = {}
    for run in one.runs:
        environment = comparable(run.environment)
        if run.test and environment:
            key = (environments.index(environment), run.test.data)
            places.setdefault(key, []).append(run)
    for (environment_index, data), runs in places.items():
        right = replace(one, runs=tuple(runs)).right("test")
        yield Sample(
            name=one.name,
            values=one.trial.values,
            fingerprint=one.trial.fingerprint,
            environment=environment_index,
            data=data,
            seeds=tuple(run.seed for run in runs),
            right=right,
            accuracy=mean_accuracy(right),
        )


def _drifts(first: dict[str, list[Sample]], second: dict[str, list[Sample]]) -> tuple[Drift, ...]:
    from statsmodels.stats.multitest import multipletests

    couples = [
        Drift(first=one, second=other, same_code=one.fingerprint == other.fingerprint)
        for key, mine in first.items()
        for one, other in itertools.product(mine, second.get(key, ()))
    ]
    compared = {i: _apart_on_test(couple) for i, couple in enumerate(couples)
                if couple.first.data == couple.second.data}  # fmt: skip
    raw = [p for _, p in compared.values()]
    corrected = multipletests(raw, ALPHA, method="holm")[1] if raw else ()
    for (index, (apart, _)), p in zip(compared.items(), corrected, strict=True):
        couples[index] = replace(
            couples[index], difference=apart, p=float(p), is_drift=bool(p < ALPHA)
        )
    return tuple(couples)


def _apart_on_test(couple: Drift) -> tuple[Estimate, float]:
    second, first = couple.second.right, couple.first.right
    apart = difference(second, first)
    return apart, p_of_no_difference(second, first, apart)
