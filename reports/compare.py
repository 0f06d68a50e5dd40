"""Two runs side by side: which of their figures agree, and which have drifted beyond noise."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Environment, TrialRecord
from reports.repeats import Confirmed, Right, tested
from reports.statistics.pairwise import ALPHA, holm, p_of_no_difference
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
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The test answers of one configuration in one environment of one run.

    Attributes:
        trial: of the search.
        environment: place of its environment among those of the comparison.
        data: content hash of the test questions.
        seeds: of its runs.
        right: ``(seeds, questions)``.
        accuracy: their mean with its interval.
    """

    trial: TrialRecord
    environment: int
    data: str
    seeds: tuple[int, ...]
    right: Right
    accuracy: Estimate

    @property
    def name(self) -> str:
        """Of its search trial, such as ``lora-003``."""
        return self.trial.trial


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One configuration in both runs.

    Attributes:
        first: of the first run.
        second: of the second.
        same_code: whether the code is the same; ``None`` where that is not known, as their
            fingerprints differ in the name of the arm or the seed of the search as well.
        difference: accuracy of the second less that of the first; ``None`` where the test
            questions differ, which is not compared.
        p: of no difference, corrected for all that are judged by Holm's method; ``None`` where
            drift cannot be judged, see ``is_judged``.
        is_drift: whether that is below .05; ``None`` likewise.
    """

    first: Sample
    second: Sample
    same_code: bool | None
    difference: Estimate | None = None
    p: float | None = None
    is_drift: bool | None = None

    @property
    def is_same_trial(self) -> bool:
        """Whether it is one trial twice, of equal code, seeds and environment.

        It should be equal to the last answer, so that whatever differs is no matter of seeds.
        """
        one, other = self.first, self.second
        same_place = one.environment == other.environment
        return bool(self.same_code) and same_place and one.seeds == other.seeds

    @property
    def is_judged(self) -> bool:
        """Whether drift can be told from the chance of seeds and questions.

        A single seed on either side says nothing of how far seeds move an accuracy, so that another
        seed, code or environment might do the same. Of one trial twice it need not.
        """
        apart = self.difference
        return apart is not None and (apart.of_seeds or self.is_same_trial)


@dataclass(frozen=True, kw_only=True)
class RunComparison:
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


def compare_runs(first: Run, second: Run) -> RunComparison:
    """Groups what is the same in both runs and compares it; environments are never pooled.

    Two trials are of one configuration if strategy, knobs, learning rate, settings, model, and
    training and validation questions are equal.
    """
    environments = _environments((*all_records(first), *all_records(second)))
    common = sorted(twins(first, second), key=lambda twin: twin.first.trial)
    timed = [twin for twin in common if twin.same_code and twin.same_environment]
    alone = [twin for twin in timed if not (twin.first.was_shared or twin.second.was_shared)]
    mine, others = _samples(first, environments), _samples(second, environments)
    return RunComparison(
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
        examples = study.words.examples
        splits = {f"{name} {examples}": f"{split.questions} ({split.fingerprint})"
                  for name, split in study.splits.items()}  # fmt: skip
        settings = {name: str(value) for name, value in asdict(study.settings).items()}
        told.append(
            {
                "model": f"{study.model} ({study.model_fingerprint})",
                "tokenizer": study.tokenizer,
                "dataset": study.dataset,
                "task": study.task,
                "objective": study.objective,
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
            trial=one.trial,
            environment=environment_index,
            data=data,
            seeds=tuple(run.seed for run in runs),
            right=right,
            accuracy=mean_accuracy(right),
        )


def _drifts(first: dict[str, list[Sample]], second: dict[str, list[Sample]]) -> tuple[Drift, ...]:
    couples = [
        _couple(one, other)
        for key, mine in first.items()
        for one, other in itertools.product(mine, second.get(key, ()))
    ]
    judged = [index for index, couple in enumerate(couples) if couple.is_judged]
    corrected = holm([_p(couples[index]) for index in judged])
    for index, p in zip(judged, corrected, strict=True):
        couples[index] = replace(couples[index], p=p, is_drift=p < ALPHA)
    return tuple(couples)


def _couple(first: Sample, second: Sample) -> Drift:
    return Drift(
        first=first,
        second=second,
        same_code=_same_code(first.trial, second.trial),
        difference=difference(second.right, first.right) if first.data == second.data else None,
    )


def _same_code(first: TrialRecord, second: TrialRecord) -> bool | None:
    if first.fingerprint == second.fingerprint:
        return True
    return False if (first.arm, first.seed) == (second.arm, second.seed) else None


def _p(couple: Drift) -> float:
    assert couple.difference is not None  # it is judged
    return p_of_no_difference(couple.second.right, couple.first.right, couple.difference)
