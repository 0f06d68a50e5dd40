"""What came of a trial, and what a study was asked to do: the records and their JSON.

Longer than other files on purpose: it is the one file format we have, every field explained.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt

from bench.space import LEARNING_RATE, Value
from bench.spec import TrainSettings, TrialSpec

SCHEMA: Final = 1
"""Version of the record's JSON; a reader refuses others by name."""


class Status(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    SKIPPED = "skipped"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    TIMED_OUT = "timed_out"
    QUARANTINED = "quarantined"


RETRIED_ON_RESUME = frozenset({Status.FAILED, Status.TIMED_OUT})
"""Ends that may be an accident of the machine; all others are results."""


class Part(BaseModel):
    """A frozen group of fields; unknown fields are an error, missing values are ``None``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Accuracy(Part):
    """Shares of questions answered right, 0 … 1, on the validation split.

    Attributes:
        before: with the pretrained backbone, the fresh layers and the fresh head.
        per_epoch: after each epoch.
        validation: at the best epoch (the first of equals).
        best_epoch: counted from 1.
        predictions: predicted choice per validation question at the best epoch.
    """

    before: float
    per_epoch: tuple[float, ...]
    validation: float
    best_epoch: int
    predictions: tuple[NonNegativeInt, ...]

    @property
    def epochs_done(self) -> int:
        """Epochs trained; fewer than asked where a trial was stopped early."""
        return len(self.per_epoch)


class Parameters(Part):
    """Counts of numbers, unless said otherwise.

    Attributes:
        trained: trained by the trial, head included.
        head: of them in the scoring head.
        added: not in the pretrained backbone, head included.
        total: in the adapted model.
        trained_tensors: how many tensors the trained parameters form.
        stored_bytes: bytes of the file that holds all that was trained; ``None`` if none was kept.
        added_at_inference: of ``added``, still there after ``deploy``, head included; ``None`` if
            it did not come to that.
    """

    trained: int
    head: int
    added: int
    total: int
    trained_tensors: int
    stored_bytes: int | None = None
    added_at_inference: int | None = None


class Seconds(Part):
    """Spans of one monotonic clock, in seconds.

    Attributes:
        load: preparing backbone and strategy on the worker.
        train: the optimizer steps only.
        validation: scoring the validation split.
        checkpoint: writing the trained tensors.
        train_per_question: ``train`` over the questions seen.
        lost: spent in attempts that came to nothing.
        device_shared: whether other trials may have used the device meanwhile.
    """

    load: float
    train: float
    validation: float
    checkpoint: float
    train_per_question: float
    lost: float
    device_shared: bool


class Latency(Part):
    """Milliseconds per question of repeated forward passes, after warm-up.

    Attributes:
        batch_size: questions per pass.
        repeats: timed passes.
        p50: median.
        p95: 95th percentile.
        iqr: interquartile range.
    """

    batch_size: int
    repeats: int
    p50: float
    p95: float
    iqr: float


class Inference(Part):
    """Cost of answering.

    Attributes:
        seconds: one pass over the validation split, deployed form, at the throughput below.
        questions_per_second: of timed batches that stand for the split, deployed form.
        single: latency at one question per batch, deployed form.
        batched: latency at the evaluation batch, deployed form.
        undeployed: latency at one question per batch before ``deploy``; ``None`` where the
            strategy has no other form.
    """

    seconds: float
    questions_per_second: float
    single: Latency
    batched: Latency
    undeployed: Latency | None


class Environment(Part):
    """Where a trial ran.

    Attributes:
        device: name of the accelerator, or of the processor.
        precision: ``fp32`` or ``bf16``, as it was used.
        threads: threads of arithmetic on the CPU.
        attention: attention implementation of the backbone.
        python: version.
        system: operating system and architecture.
        packages: version by name.
    """

    device: str
    precision: str
    threads: int
    attention: str
    python: str
    system: str
    packages: dict[str, str]


class TestScore(Part):
    """The one scoring of a chosen trial on the test split.

    Attributes:
        accuracy: share of questions answered right, 0 … 1.
        predictions: predicted choice per test question.
        data: content hash of the test questions.
    """

    __test__ = False  # pytest takes classes named Test… for tests

    accuracy: float
    predictions: tuple[NonNegativeInt, ...]
    data: str


class TrialRecord(Part):
    """One finished trial: all we will ever know of it. A group that was not reached is ``None``.

    ``micro_batch`` is the questions of a pass where a whole batch did not fit into memory.
    """

    schema_version: Literal[1] = SCHEMA
    study: str
    arm: str
    number: NonNegativeInt
    fingerprint: str
    context: str
    strategy: str
    knobs: dict[str, Value]
    learning_rate: FiniteFloat
    seed: int
    status: Status
    reason: str | None = None
    attempts: int = 1
    epochs: int
    accuracy: Accuracy | None = None
    parameters: Parameters | None = None
    seconds: Seconds | None = None
    inference: Inference | None = None
    peak_bytes: int | None = None
    micro_batch: int | None = None
    environment: Environment | None = None
    traceback: str | None = None
    test: TestScore | None = None

    @property
    def trial(self) -> str:
        """The trial's name in reports, such as ``lora-003``."""
        return f"{self.arm}-{self.number:03d}"

    @property
    def values(self) -> dict[str, Value]:
        """Knobs and learning rate by name."""
        return {**self.knobs, LEARNING_RATE: self.learning_rate}

    @classmethod
    def of(cls, spec: TrialSpec, status: Status, **parts: Any) -> TrialRecord:
        """The record of a trial that ended like this.

        Args:
            spec: the trial.
            status: how it ended.
            **parts: further fields by name.
        """
        return cls(
            study=spec.study,
            arm=spec.arm,
            number=spec.number,
            fingerprint=spec.fingerprint,
            context=spec.context,
            strategy=spec.strategy.name,
            knobs=spec.strategy.knobs,
            learning_rate=spec.learning_rate,
            seed=spec.seed,
            status=status,
            epochs=spec.settings.epochs,
            **parts,
        )


class SplitSummary(Part):
    """One split as it was used.

    Attributes:
        questions: how many.
        fingerprint: content hash of its questions, choices and answers.
    """

    questions: int
    fingerprint: str


class Halving(Part):
    """The rule by which trials are stopped early, see ``bench.search.halving``.

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


class StudyRecord(Part):
    """What a run folder was asked to do: the content of ``study.json``.

    Attributes:
        name: name of the study.
        command: the command that runs it again.
        commit: version-control state of the code, ``None`` outside a checkout.
        paretune: version of this package.
        model: name the model was asked by.
        model_fingerprint: content hash or revision.
        tokenizer: content hash of the tokenizer.
        total_parameters: of the backbone without head.
        dataset: name the dataset was asked by.
        splits: summaries of the splits by name.
        chance: accuracy of guessing on validation, 0 … 1.
        constant: accuracy there of the position that is right most often in training.
        longest: accuracy there of the longest choice.
        truncated: share of sequences cut at ``max_length``.
        tokenise_seconds: once per run, for training and validation questions together.
        arms: strategy name per arm.
        contexts: context per arm, see ``TrialSpec``.
        spaces: searched range per knob and arm, as text.
        bounds: lowest and highest searched value per arm and numeric knob.
        planned: planned trials per arm.
        settings: training settings.
        sampler: ``tpe`` or ``random``.
        seed: the study's seed.
        halving: how trials are stopped early; ``None`` if they are not.
        budget_spent: what ended the last run too soon; ``None`` if no budget did.
        left_out: plug-ins that could not be used, as text.
        notices: what was found and mended in data and run folder, as text.
    """

    schema_version: Literal[1] = SCHEMA
    name: str
    command: str
    commit: str | None
    paretune: str
    model: str
    model_fingerprint: str
    tokenizer: str
    total_parameters: int
    dataset: str
    splits: dict[str, SplitSummary]
    chance: float
    constant: float
    longest: float
    truncated: float
    tokenise_seconds: float
    arms: dict[str, str]
    contexts: dict[str, str]
    spaces: dict[str, dict[str, str]]
    bounds: dict[str, dict[str, tuple[float, float]]] = {}
    planned: dict[str, int]
    settings: TrainSettings
    sampler: str
    seed: int
    halving: Halving | None = None
    budget_spent: BudgetSpent | None = None
    left_out: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

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
