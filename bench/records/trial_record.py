"""What came of a trial: its record and its JSON, every field explained."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt

from bench.metrics import ACCURACY, METRICS
from bench.records.spec import TrialSpec, trial_name
from bench.space import LEARNING_RATE, Value

CONFIDENCE_STEPS = 10_000
"""Of a probability; nothing is computed from finer ones."""


def packed(confidences: Iterable[float]) -> str:
    """Probabilities as text: ten-thousandths, 16 bits each, little-endian, in base64."""
    whole = [round(CONFIDENCE_STEPS * confidence) for confidence in confidences]
    return base64.b64encode(struct.pack(f"<{len(whole)}H", *whole)).decode()


def unpacked(text: str) -> tuple[float, ...]:
    """The probabilities that ``packed`` made a text of."""
    content = base64.b64decode(text)
    return tuple(
        whole / CONFIDENCE_STEPS for whole in struct.unpack(f"<{len(content) // 2}H", content)
    )


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
    """Shares of examples answered right, 0 … 1, on the validation split.

    Attributes:
        before: with the pretrained backbone, the fresh layers and the fresh head.
        per_epoch: after each epoch.
        validation: at the best epoch: that with the best objective, the first of equals.
        best_epoch: counted from 1.
        predictions: given answer per validation example at the best epoch.
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


class Scores(Part):
    """What the answers on the validation split are worth by the task's metrics.

    Attributes:
        objective: the metric that is searched and chooses the best epoch.
        before: the objective with the pretrained backbone, the fresh layers and the fresh head.
        per_epoch: the objective after each epoch.
        validation: every metric of the task at the best epoch, by name.
        confidences: of the predictions at the best epoch, see ``bench.records.trial_record``.
    """

    objective: str
    before: float
    per_epoch: tuple[float, ...]
    validation: dict[str, float]
    confidences: str


class Parameters(Part):
    """Counts of numbers, unless said otherwise.

    Attributes:
        trained: trained by the trial, head included.
        head: of them in the scoring head.
        added: not in the pretrained backbone, head included.
        total: in the adapted model.
        trained_tensors: how many tensors the trained parameters form.
        stored_bytes: bytes of the file that holds all that was trained; ``None`` if none was kept.
        added_at_inference: of ``added``, still there after ``deploy``; ``None`` if not known.
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
        compile: making compiled forms of the backbone, with the passes that takes.
        lost: spent in attempts that came to nothing.
        device_shared: whether other trials may have used the device meanwhile.
    """

    load: float
    train: float
    validation: float
    checkpoint: float
    compile: float = 0.0
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
        undeployed: latency at one question per batch before ``deploy``, where that changes it.
        undeployed_batched: likewise at the evaluation batch; measured of trials with fresh seeds.
    """

    seconds: float
    questions_per_second: float
    single: Latency
    batched: Latency
    undeployed: Latency | None
    undeployed_batched: Latency | None = None


class Environment(Part):
    """Where a trial ran.

    Attributes:
        device: name of the accelerator, or of the processor.
        precision: ``fp32`` or ``bf16``, as it was used.
        threads: threads of arithmetic on the CPU.
        attention: attention implementation of the backbone.
        compiled: whether the backbone was compiled.
        python: version.
        system: operating system and architecture.
        packages: version by name.
    """

    device: str
    precision: str
    threads: int
    attention: str
    compiled: bool = False
    python: str
    system: str
    packages: dict[str, str]


class TestScore(Part):
    """The one scoring of a frozen trial on the test split.

    Attributes:
        accuracy: share of examples answered right, 0 … 1.
        predictions: given answer per test example.
        answers: right answer per test example.
        data: content hash of the test examples.
        scores: every metric of the task, by name.
        confidences: of the predictions, see ``bench.records.trial_record``.
    """

    __test__ = False  # pytest takes classes named Test… for tests

    accuracy: float
    predictions: tuple[NonNegativeInt, ...]
    answers: tuple[NonNegativeInt, ...]
    data: str
    scores: dict[str, float] = {}
    confidences: str = ""


class TrialRecord(Part):
    """One finished trial: all we will ever know of it. A group that was not reached is ``None``.

    ``micro_batch`` is the examples of a pass where a whole batch did not fit into memory,
    ``confirms`` the fingerprint of the search trial that this one repeats with a fresh seed.
    """

    schema_version: Literal[1] = SCHEMA
    study: str
    arm: str
    number: NonNegativeInt
    confirms: str | None = None
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
    scores: Scores | None = None
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
        """The trial's name in reports, such as ``lora-003`` or ``lora-003-seed1001``."""
        return trial_name(self.arm, self.number, self.seed if self.confirms else None)

    @property
    def values(self) -> dict[str, Value]:
        """Knobs and learning rate by name."""
        return {**self.knobs, LEARNING_RATE: self.learning_rate}

    @property
    def per_epoch(self) -> tuple[float, ...]:
        """The objective on validation after each epoch; empty without a result."""
        found = self.scores or self.accuracy
        return found.per_epoch if found else ()

    @property
    def score(self) -> float | None:
        """The objective on validation at the best epoch; ``None`` without a result."""
        if self.scores is not None:
            return self.scores.validation[self.scores.objective]
        return self.accuracy.validation if self.accuracy else None

    def rank(self, score: float) -> float:
        """A number that is the larger, the better a value of the objective is."""
        return METRICS[self.scores.objective if self.scores else ACCURACY].rank(score)

    @property
    def was_shared(self) -> bool:
        """Whether other trials may have used the device while this one was timed."""
        return self.seconds is not None and self.seconds.device_shared

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
            confirms=spec.confirms,
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
