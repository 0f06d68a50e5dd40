"""Which trial comes next: one Optuna study per arm, equal budgets, rebuilt from the records."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bench.errors import LedgerError
from bench.metrics import ACCURACY, METRICS
from bench.records.spec import TrialSpec
from bench.records.trial_record import RETRIED_ON_RESUME, Status, TrialRecord
from bench.space import Choice, Dimension, Integer, Value
from bench.storage.files import read_records
from bench.storage.ledger import Ledger
from bench.storage.locks import WHOLE, Share
from bench.study.arm import Arm
from bench.tune.rungs import Rungs

if TYPE_CHECKING:
    from bench.study.experiment import Experiment


def objectives(record: TrialRecord) -> list[float]:
    """The objective on validation, and trained parameters, to be lowered."""
    if record.score is None or record.parameters is None:
        raise ValueError(f"{record.trial}: completed without a result")
    return [record.score, float(record.parameters.trained)]


def directions(objective: str) -> list[StudyDirection]:
    """Which way Optuna is to go with ``objectives``."""
    higher = METRICS[objective].higher_is_better
    return [StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]


Values: TypeAlias = dict[str, Value]
Key: TypeAlias = frozenset[tuple[str, Value]]


class Draws:
    """Configurations of an arm under the random sampler, by number.

    They depend on nothing but arm and seed, so that resumed, parallel and sharded runs draw the
    same. The arm's starts come first. In a space of finitely many configurations none comes twice,
    which is why one is drawn after all before it; they are kept.

    Args:
        arm: any.
        seed: of the sampler.
    """

    def __init__(self, arm: Arm, seed: int) -> None:
        self._arm = arm
        self._seed = seed
        self._starts = [arm.complete(start) for start in arm.space.starts]
        self._drawn = list(self._starts)
        self._taken = set(map(key_of, self._drawn))

    def __getitem__(self, number: int) -> Values:
        if number < len(self._starts):
            return dict(self._starts[number])
        if self._arm.space.size == math.inf:
            return _draw(self._arm, number, self._seed, 0)
        for index in range(len(self._drawn), number + 1):
            attempts = (_draw(self._arm, index, self._seed, n) for n in itertools.count())
            values = next(values for values in attempts if key_of(values) not in self._taken)
            self._drawn.append(values)
            self._taken.add(key_of(values))
        return dict(self._drawn[number])


def key_of(values: Values) -> Key:
    """Equal for equal configurations."""
    return frozenset(values.items())


def _draw(arm: Arm, number: int, seed: int, attempt: int) -> Values:
    return arm.space.draw(random.Random(f"{seed}/{arm.name}/{number}/{attempt}"))


Telling = Callable[[], Iterable[TrialRecord]]
"""Gives records that have come since it was last called."""


def no_news() -> Iterable[TrialRecord]:
    """Where no other command is at work."""
    return ()


class News:
    """Reads records that were not there before; one that cannot be read now is tried again.

    Args:
        ledger: the run folder.
        wanted: picks the records that count.
    """

    def __init__(
        self,
        ledger: Ledger,
        wanted: Callable[[Iterable[TrialRecord]], Iterable[TrialRecord]],
    ) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._known: set[str] = set()

    def __call__(self) -> Iterable[TrialRecord]:
        """Records that have come since."""
        try:
            new = [path for path in self._ledger.trial_files() if path.stem not in self._known]
            found = [r for r in read_records(new).values() if isinstance(r, TrialRecord)]
        except (LedgerError, OSError):  # a store out of reach may come back
            return ()
        self._known |= {record.fingerprint for record in found}
        return self._wanted(found)


class Agenda(Protocol):
    """What a conductor works through: the plan of a search, or its confirmation."""

    @property
    def rungs(self) -> Rungs:
        """Where trials may be stopped early."""

    @property
    def left(self) -> int:
        """Trials not given out yet."""

    def next(self) -> TrialSpec | None:
        """The next trial; ``None`` when all are given out, or first others have to end."""

    def finish(self, record: TrialRecord) -> None:
        """Takes in how a trial that was given out has ended."""


class NothingLeft:
    """The agenda of a search that has ended: what follows it is all there is to do."""

    rungs = Rungs()
    left = 0

    def next(self) -> TrialSpec | None:
        """Nothing."""
        return None

    def finish(self, record: TrialRecord) -> None:
        """Never called, as nothing is given out."""


MakeSpec = Callable[[Arm, int, Mapping[str, Value]], TrialSpec]

STATES = {Status.COMPLETED: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED}
"""How an end is told to Optuna; every other one is FAIL."""

REDRAWS = 100
"""Attempts to draw a configuration that is not there yet, before the remaining ones are tried."""


@dataclass(kw_only=True)
class _Progress:
    """How far an arm is.

    Attributes:
        study: Optuna's study of the arm.
        all: numbers that are to be given out.
        left: of them, those not given out yet, next one first.
        asked: Optuna's trial per number that is running.
        draws: its configurations under the random sampler.
        taken: who has a configuration that is given out or finished, by its key.
        again: configuration per number whose record of an earlier run does not count.
        ended: numbers whose record counts, of other commands too.
    """

    study: optuna.Study
    all: frozenset[int]
    left: list[int]
    draws: Draws
    asked: dict[int, optuna.trial.Trial] = field(default_factory=dict)
    taken: dict[Key, int] = field(default_factory=dict)
    again: dict[int, Values] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)


class Plan:
    """Gives out the trials of a study, the arm with most budget left first.

    Args:
        arms: what is compared.
        planned: trials per arm.
        sampler: ``tpe`` or ``random``.
        seed: of the sampler.
        make_spec: turns an arm, a number and a configuration into a spec.
        rungs: where trials may be stopped early; by default nowhere.
        share: the part of the trials that is given out; what others give out is learnt from.
        news: tells what others have ended meanwhile.
        objective: the metric that is searched.
    """

    def __init__(  # noqa: PLR0913 - what a plan is made of
        self,
        arms: Iterable[Arm],
        *,
        planned: Mapping[str, int],
        sampler: str,
        seed: int,
        make_spec: MakeSpec,
        rungs: Rungs | None = None,
        share: Share = WHOLE,
        news: Telling = no_news,
        objective: str = ACCURACY,
    ) -> None:
        self._arms = {arm.name: arm for arm in arms}
        self._planned = planned
        self._sampler = sampler
        self._seed = seed
        self._make_spec = make_spec
        self.rungs = rungs or Rungs()
        self._news = news
        self._is_part = share.is_part
        self._progress = {
            name: _Progress(
                study=_new_study(
                    f"{seed}/{name}{f'/{share}' * share.is_part}", planned[name], objective
                ),
                all=frozenset(numbers),
                left=numbers,
                draws=Draws(self._arms[name], seed),
            )
            for name, numbers in self._numbers(share).items()
        }

    def _numbers(self, share: Share) -> dict[str, list[int]]:
        """Numbers of a share's trials, per arm."""
        return {
            name: [number for number in range(self._planned[name]) if share.holds(place, number)]
            for place, name in enumerate(self._arms)
        }

    @property
    def left(self) -> int:
        """Trials not given out yet."""
        return sum(self.left_by_arm.values())

    @property
    def left_by_arm(self) -> dict[str, int]:
        """Trials not given out yet, per arm."""
        return {name: len(progress.left) for name, progress in self._progress.items()}

    @property
    def all_by_arm(self) -> dict[str, frozenset[int]]:
        """Numbers of the trials that are for this plan to give out, per arm."""
        return {name: progress.all for name, progress in self._progress.items()}

    @property
    def studies(self) -> dict[str, optuna.Study]:
        """Optuna's study per arm."""
        return {name: progress.study for name, progress in self._progress.items()}

    def keep(self, record: TrialRecord) -> bool:
        """Counts an earlier record of this plan as done.

        Not one whose end may have been an accident, nor one that was stopped early where trials
        are not stopped any more.

        Returns:
            Whether it counts; if not, the trial will be given out again.
        """
        progress = self._progress[record.arm]
        values = {name: record.values[name] for name in self._arms[record.arm].space.knobs}
        mine = record.number in progress.left
        progress.taken.setdefault(key_of(values), record.number)
        if mine and (record.status in RETRIED_ON_RESUME or self.rungs.void(record)):
            progress.again[record.number] = values
            return False
        self.rungs.count(record)
        if mine:
            progress.left.remove(record.number)
        progress.ended.add(record.number)
        if values:
            state = STATES.get(record.status, TrialState.FAIL)
            progress.study.add_trial(
                optuna.trial.create_trial(
                    params=values,
                    distributions=self._distributions(record.arm),
                    values=objectives(record) if state is TrialState.COMPLETE else None,
                    state=state,
                )
            )
        return True

    def next(self) -> TrialSpec | None:
        """The next trial, or ``None`` when all are given out."""
        for record in self._news() if self.left else ():
            if record.number not in self._progress[record.arm].ended:
                self.keep(record)
        if not self.left:
            return None
        name = max(self._progress, key=lambda name: len(self._progress[name].left))
        number = self._progress[name].left.pop(0)
        values = self._values(name, number)
        self._progress[name].taken[key_of(values)] = number
        return self._make_spec(self._arms[name], number, values)

    def finish(self, record: TrialRecord) -> None:
        """Tells the rungs and Optuna how a trial that was given out has ended."""
        self.rungs.count(record)
        progress = self._progress[record.arm]
        progress.ended.add(record.number)
        trial = progress.asked.pop(record.number, None)
        if trial is None:
            return
        state = STATES.get(record.status, TrialState.FAIL)
        values = objectives(record) if state is TrialState.COMPLETE else None
        progress.study.tell(trial, values, state=state)

    def _values(self, name: str, number: int) -> Values:
        arm, progress = self._arms[name], self._progress[name]
        if not arm.space.knobs:
            return {}
        if self._is_drawn(arm, number) or number in progress.again:
            values = progress.again.get(number) or self._drawn(progress, number)
            progress.study.enqueue_trial(values)
            progress.asked[number] = progress.study.ask(self._distributions(name))
            return values
        for _ in range(REDRAWS):
            trial = progress.study.ask(self._distributions(name))
            if key_of(trial.params) not in progress.taken:
                progress.asked[number] = trial
                return dict(trial.params)
            progress.study.tell(trial, state=TrialState.FAIL)
        return self._first_untaken(progress)

    def _is_drawn(self, arm: Arm, number: int) -> bool:
        """Whether a configuration depends on nothing but its number.

        In a space of finitely many, two commands that model on their own could choose the same.
        """
        is_known = number < len(arm.space.starts)
        is_small = self._is_part and arm.space.size < math.inf
        return self._sampler == "random" or is_known or is_small

    def _drawn(self, progress: _Progress, number: int) -> Values:
        """The configuration drawn for a number, or what was drawn for the one that has it already.

        A command that modelled may have chosen it before the run was shared out. Who has it has
        left its own; as nobody has two, that leads to a free one, another for every number.
        """
        values = progress.draws[number]
        while (owner := progress.taken.get(key_of(values), number)) != number:
            values = progress.draws[owner]
        return values

    def _first_untaken(self, progress: _Progress) -> Values:
        """A configuration of a nearly exhausted finite space, drawn until it is a new one."""
        untaken = (progress.draws[index] for index in itertools.count())
        return next(values for values in untaken if key_of(values) not in progress.taken)

    def _distributions(self, name: str) -> dict[str, BaseDistribution]:
        knobs = self._arms[name].space.knobs
        return {knob: _distribution(knobs[knob]) for knob in sorted(knobs)}


def _new_study(seed: str, planned: int, objective: str) -> optuna.Study:
    """A study of two objectives; a third of a small budget is drawn before TPE may model it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            multivariate=True,
            constant_liar=True,
            n_startup_trials=min(10, max(5, planned // 3)),
            seed=random.Random(seed).getrandbits(32),
        )
    return optuna.create_study(directions=directions(objective), sampler=sampler)


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.options)
    if isinstance(dimension, Integer):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def make_plan(prepared: Experiment) -> Plan:
    """A fresh plan of all trials of this command's share of a study."""
    file = prepared.study.file
    return Plan(
        prepared.study.arms,
        planned=prepared.planned,
        sampler=file.sampler,
        seed=file.seed,
        make_spec=prepared.spec,
        rungs=Rungs(file.halving_rule, file.epochs),
        share=prepared.share,
        objective=file.objective,
        news=News(prepared.ledger, prepared.searched) if prepared.share.is_part else no_news,
    )


def left_by_arm(prepared: Experiment) -> dict[str, int]:
    """Trials per arm that no record of the run folder stands for."""
    plan = make_plan(prepared)
    for record in prepared.searched(prepared.ledger.records().readable.values()):
        plan.keep(record)
    return plan.left_by_arm
