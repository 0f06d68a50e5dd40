"""What a study was asked to do, and what it froze: the records and their JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, NonNegativeInt, PlainSerializer

from bench.metrics import ACCURACY
from bench.records.spec import TrainSettings
from bench.records.trial_record import SCHEMA, Part, Status, TrialRecord
from bench.space import Choice, Dimension, Integer, Uniform, Value


class TaskWords(Part):
    """How reports speak of a task, see ``bench.task.Words``."""

    example: str
    examples: str


class BaselineScore(Part):
    """What can be had without a model, see ``bench.task.Baseline``.

    Attributes:
        name: of the baseline.
        said: the same in a sentence.
        scores: every metric of the task that can be told of it, on validation, by name.
    """

    name: str
    said: str
    scores: dict[str, float]


class SplitSummary(Part):
    """One split as it was used.

    Attributes:
        questions: how many examples.
        fingerprint: content hash of its examples and their right answers.
    """

    questions: int
    fingerprint: str


class Halving(Part):
    """The rule by which trials are stopped early, see ``bench.tune.rungs``.

    Attributes:
        reduction_factor: one in so many trials of an arm goes on from a rung.
        grace_epochs: epochs before the first rung.
    """

    reduction_factor: int
    grace_epochs: int

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which trials of so many epochs are ranked; never after the last."""
        found = [self.grace_epochs]
        while (after := found[-1] * self.reduction_factor) < epochs:
            found.append(after)
        return tuple(after for after in found if after < epochs)


class BudgetSpent(Part):
    """The budget that ended a run before its planned trials had.

    Attributes:
        budget: as a person says it, such as ``30m``.
        stopped: trials that were at work and stopped after an epoch, without a record.
    """

    budget: str
    stopped: int


KINDS: dict[str, type[Dimension]] = {"uniform": Uniform, "integer": Integer, "choice": Choice}
"""Dimension by the name that JSON has for it."""


def _from_json(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    arguments = dict(value)
    if "options" in arguments:
        arguments["options"] = tuple(arguments["options"])
    return KINDS[arguments.pop("kind")](**arguments)


def _to_json(knob: Knob) -> Any:
    if not is_dataclass(knob):
        return knob
    kind = next(name for name, dimension in KINDS.items() if isinstance(knob, dimension))
    return {"kind": kind, **{k: v for k, v in asdict(knob).items() if k != "source"}}


Knob: TypeAlias = Annotated[
    Dimension | Value, BeforeValidator(_from_json), PlainSerializer(_to_json)
]
"""What a knob of an arm may be: searched in a dimension, or fixed at a value."""


class StudyRecord(Part):
    """What a run folder was asked to do: the content of ``study.json``.

    Attributes:
        name: name of the study.
        command: the command that runs it again.
        request: the same, and what it was resolved to, see ``bench.study.request.Request``.
        commit: version-control state of the code, ``None`` outside a checkout.
        paretune: version of this package.
        model: name the model was asked by.
        model_fingerprint: content hash or revision.
        tokenizer: content hash of the tokenizer.
        total_parameters: of the backbone without head.
        dataset: name the dataset was asked by.
        splits: summaries of the splits by name.
        task: what is learnt, by name.
        words: how it is spoken of.
        task_settings: what the training data have settled of it, see ``bench.task.Task``.
        columns: fields that were read, by what they are of; empty where their names are fixed.
        objective: the metric that is searched.
        baselines: what can be had on validation without a model; the first is guessing.
        truncated: share of sequences cut at ``max_length``.
        tokenise_seconds: once per run, for training and validation examples together.
        arms: strategy name per arm.
        contexts: context per arm, see ``TrialSpec``.
        spaces: searched dimension or fixed value per knob and arm.
        starts: known-good configurations per arm that are tried before any is drawn.
        answers: right answer per validation example.
        planned: planned trials per arm.
        settings: training settings.
        sampler: ``tpe`` or ``random``.
        seed: the study's seed.
        confirm: fresh seeds on which each frozen configuration is run again; 0 for none.
        halving: how trials are stopped early; ``None`` if they are not.
        budget_spent: what ended the last run too soon; ``None`` if no budget did.
        left_out: plug-ins that could not be used, as text.
        notices: what was found and mended in data and run folder, as text.
    """

    schema_version: Literal[1] = SCHEMA
    name: str
    command: str
    request: dict[str, Any]
    commit: str | None
    paretune: str
    model: str
    model_fingerprint: str
    tokenizer: str
    total_parameters: int
    dataset: str
    splits: dict[str, SplitSummary]
    task: str = "multiple_choice"
    words: TaskWords = TaskWords(example="question", examples="questions")
    task_settings: dict[str, Any] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    objective: str = ACCURACY
    baselines: tuple[BaselineScore, ...]
    truncated: float
    tokenise_seconds: float
    arms: dict[str, str]
    contexts: dict[str, str]
    spaces: dict[str, dict[str, Knob]]
    starts: dict[str, int]
    answers: tuple[NonNegativeInt, ...]
    planned: dict[str, int]
    settings: TrainSettings
    sampler: str
    seed: int
    confirm: int
    halving: Halving | None = None
    budget_spent: BudgetSpent | None = None
    left_out: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def chance(self) -> float:
        """Accuracy of guessing on validation, 0 … 1."""
        return self.baselines[0].scores[ACCURACY]

    def range_of(self, arm: str, knob: str) -> Uniform | Integer | None:
        """What a number is searched in; ``None`` of what is fixed or chosen from a list."""
        found = self.spaces.get(arm, {}).get(knob)
        return found if isinstance(found, Uniform | Integer) else None

    def is_tested(self, record: TrialRecord) -> bool:
        """Whether a trial has answered the test questions as they are now."""
        return record.test is not None and record.test.data == self.splits["test"].fingerprint

    def holds(self, record: TrialRecord) -> bool:
        """Whether a record is a trial of this study as it stands.

        One that was stopped early is not where the study has no rung: it will run again.
        """
        if record.status is Status.PRUNED:
            rungs = self.halving.rungs(self.settings.epochs) if self.halving else ()
            if record.accuracy is None or record.accuracy.epochs_done not in rungs:
                return False
        mine = self.contexts.get(record.arm) == record.context
        return mine and record.number < self.planned[record.arm]


class Candidate(Part):
    """A configuration that was chosen from the search.

    Attributes:
        fingerprint: of its search trial.
        arm: of the search trial, likewise ``number``.
        is_best: whether it is the chosen one of its arm.
        on_front: whether it is on the front of the search.
        stopped: why it is not run on its later seeds; ``None`` if it is.
    """

    fingerprint: str
    arm: str
    number: NonNegativeInt
    is_best: bool
    on_front: bool
    stopped: str | None = None


class Freeze(Part):
    """What was chosen from the search: the content of ``frozen.json``.

    It is written before the first fresh seed runs and before any test question is looked at.

    Attributes:
        searched: content hash of the search's outcome from which was chosen.
        seeds: fresh seeds, none of them used in the search; empty if nothing is run again.
        candidates: what was chosen.
    """

    schema_version: Literal[1] = SCHEMA
    searched: str
    seeds: tuple[int, ...]
    candidates: tuple[Candidate, ...]

    @property
    def by_fingerprint(self) -> dict[str, Candidate]:
        """Candidates by the fingerprint of their search trial."""
        return {candidate.fingerprint: candidate for candidate in self.candidates}

    def awaits(self, record: TrialRecord) -> bool:
        """Whether a trial is to answer the test questions."""
        return record.status is Status.COMPLETED and self.chose(record)

    def chose(self, record: TrialRecord) -> bool:
        """Whether a trial is one of what was chosen.

        It repeats a candidate on one of the seeds, or, if nothing is run again, is a candidate.
        """
        if self.seeds:
            return record.confirms in self.by_fingerprint and record.seed in self.seeds
        return record.fingerprint in self.by_fingerprint


@dataclass(frozen=True, kw_only=True)
class Run:
    """All that a run folder holds of its study: what reports are made of.

    Attributes:
        study: what was asked.
        searched: trials of the search.
        confirmed: trials that repeat a candidate with a fresh seed.
        former: the same for what is not, or no longer, a candidate, and scored trials of the
            search that are no longer planned: they count as answers to the test questions.
        freeze: what was chosen; ``None`` before.
    """

    study: StudyRecord
    searched: tuple[TrialRecord, ...]
    confirmed: tuple[TrialRecord, ...] = ()
    former: tuple[TrialRecord, ...] = ()
    freeze: Freeze | None = None

    @classmethod
    def of(cls, study: StudyRecord, records: Iterable[TrialRecord], freeze: Freeze | None) -> Run:
        """Sorts records; those that are not of this study as it stands are left out."""
        mine = [r for r in records if study.contexts.get(r.arm) == r.context]
        searched = tuple(r for r in mine if not r.confirms and study.holds(r))
        known = {record.fingerprint for record in searched}
        confirmed = tuple(r for r in mine if r.confirms in known and freeze and freeze.chose(r))
        used = known | {record.fingerprint for record in confirmed}
        former = (r for r in mine if r.fingerprint not in used and (r.confirms or r.test))
        return cls(
            study=study,
            searched=searched,
            confirmed=confirmed,
            former=tuple(former),
            freeze=freeze,
        )

    @property
    def unanswered(self) -> list[TrialRecord]:
        """Completed trials of what was frozen that have not answered the test as it is now."""
        return [
            record
            for record in (*self.searched, *self.confirmed)
            if self.freeze and self.freeze.awaits(record) and not self.study.is_tested(record)
        ]

    @property
    def fresh_trials(self) -> tuple[int, int]:
        """Trials with fresh seeds that have ended, and how many are to end.

        A candidate that was stopped gets no more than it has.
        """
        if self.freeze is None:
            return 0, 0
        done = Counter(record.confirms for record in self.confirmed)
        searched = {record.fingerprint for record in self.searched}
        wanted = (
            done[one.fingerprint] if one.stopped else len(self.freeze.seeds)
            for one in self.freeze.candidates
            if one.fingerprint in searched
        )
        return done.total(), sum(wanted)

    @property
    def test_scorings(self) -> int:
        """How often the test split was answered for this study."""
        everything = (*self.searched, *self.confirmed, *self.former)
        return sum(record.test is not None for record in everything)
