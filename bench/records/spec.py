"""What is asked of one trial: settings, strategy, values, and the hash that identifies them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from bench.metrics import ACCURACY
from bench.space import LEARNING_RATE, Value
from bench.strategy import Strategy
from bench.task import AnyTask

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Pooling: TypeAlias = Literal["cls", "mean", "last"]
MicroBatch: TypeAlias = Literal["whole", "auto"]
Precision: TypeAlias = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How every trial of a study is trained, whatever its strategy.

    Attributes:
        epochs: passes over the training examples; at least 1.
        batch_size: examples per optimizer step.
        max_length: tokens per sequence; longer ones are cut.
        pooling: the vector the head reads: first token, mean, or last token.
        precision: ``auto`` takes bf16 where the processor has it.
        weight_decay: decoupled decay of trained matrices (AdamW); vectors are not decayed.
        warmup_ratio: share of the steps in which the learning rate rises from 0.
        clip_norm: largest L2 norm of the gradient of all trained parameters together.
        head_dropout: dropout before the head.
        micro_batch: ``whole`` ends a trial whose batch does not fit into memory; ``auto`` has it
            compute the batch in halves, quarters … whose gradients are added up.
        gradient_checkpointing: keep what goes into each block alone and compute the block again
            for its gradients; less memory, more time, the same numbers.
        compile: train and answer by what torch.compile makes of the backbone.
    """

    epochs: int = 3
    batch_size: int = 16
    max_length: int = 128
    pooling: Pooling = "cls"
    precision: Precision = "auto"
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    clip_norm: float = 1.0
    head_dropout: float = 0.1
    micro_batch: MicroBatch = "whole"
    gradient_checkpointing: bool = False
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """Everything that can change the result of a trial, and its label.

    Attributes:
        study: name of the study.
        arm: name of the arm: a strategy with the knobs the study fixes.
        number: place in the arm's plan, from 0.
        task: what is learnt.
        strategy: the instance that adapts the model.
        learning_rate: peak learning rate.
        seed: seeds head, new layers, dropout and data order.
        settings: training settings shared by the study.
        data: content hash of the training and validation examples and of the tokenizer.
        model: content hash or revision of the backbone.
        code: content hash of the modules of strategy and task and of the training code.
        context: content hash of what the arm was asked for as a whole: code, data, settings,
            search space, sampler. Records of another context belong to another study.
        confirms: fingerprint of the search trial that this one repeats with a fresh seed; ``None``
            in the search.
        objective: the metric that is searched and chooses the best epoch.
    """

    study: str
    arm: str
    number: int
    task: AnyTask
    strategy: Strategy
    learning_rate: float
    seed: int
    settings: TrainSettings
    data: str
    model: str
    code: str
    context: str
    confirms: str | None = None
    objective: str = ACCURACY

    @property
    def trial(self) -> str:
        """The trial's name in reports, such as ``lora-003`` or ``lora-003-seed1001``."""
        return trial_name(self.arm, self.number, self.seed if self.confirms else None)

    @property
    def values(self) -> dict[str, Value]:
        """Knobs and learning rate by name."""
        return {**self.strategy.knobs, LEARNING_RATE: self.learning_rate}

    def refusal(self, config: PretrainedConfig) -> str | None:
        """Why a model of this configuration cannot be trained so; ``None`` if it can.

        The trial is then skipped with this reason.
        """
        reason = self.strategy.refuse(config)
        if reason is None and self.settings.gradient_checkpointing and self.strategy.through_cache:
            return (
                "what it learns enters as a cache of earlier tokens, which blocks that are computed"
                " again are not given; leave --gradient-checkpointing out"
            )
        return reason

    @property
    def fingerprint(self) -> str:
        """Content hash of all but the labels: equal fingerprints are the same trial.

        The arm counts in, so that two arms that happen to draw one configuration keep a record
        each.
        """
        identity = {
            "arm": self.arm,
            "task": self.task.identity,
            "objective": self.objective,
            "strategy": self.strategy.name,
            "knobs": self.strategy.knobs,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "settings": asdict(self.settings),
            "data": self.data,
            "model": self.model,
            "code": self.code,
        }
        return content_hash(identity)


def trial_name(arm: str, number: int, fresh_seed: int | None) -> str:
    """Name of a trial in reports; one that repeats another with a fresh seed has that too."""
    name = f"{arm}-{number:03d}"
    return name if fresh_seed is None else f"{name}-seed{fresh_seed}"


def content_hash(value: object) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
