"""A trained configuration, rebuilt in float32 from what its trial has stored."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from bench.data.batches import BatchStore
from bench.data.tokens import tokenise
from bench.errors import ExportError, ModelError, StudyError
from bench.export.logits import logits_of
from bench.export.manifest import Base, Manifest
from bench.pretrained.source import ModelSource, locate, tokenizer_fingerprint
from bench.records.spec import TrialSpec
from bench.space import Value
from bench.strategy import Strategy, find_strategy
from bench.task import AnyTask, Example, task_of
from bench.training.measure import load_trained
from bench.training.model import TaskModel
from bench.training.worker_state import Workbench


def sample_of(task: AnyTask, tokenizer: PreTrainedTokenizerBase) -> tuple[Example, ...]:
    """Examples without meaning, of unequal length; the same for equal tasks and tokenizers."""
    generator = random.Random(0)

    def text(tokens: int) -> str:
        drawn = [generator.randrange(len(tokenizer)) for _ in range(tokens)]
        return str(tokenizer.decode(drawn, skip_special_tokens=True)).strip() or "?"

    return tuple(task.made_up(text))


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trained:
    """What a trial has come to.

    Attributes:
        spec: the trial.
        source: its pretrained model.
        tensors: what was trained, as ``bench.training.measure.trained_tensors`` names it.
        device: where models are built.
    """

    spec: TrialSpec
    source: ModelSource
    tensors: Mapping[str, torch.Tensor]
    device: torch.device = CPU

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of the pretrained model."""
        return self.source.tokenizer()

    @cached_property
    def workbench(self) -> Workbench:
        """One in float32, for made-up examples."""
        task = self.spec.task
        examples = sample_of(task, self.tokenizer)
        sample = tokenise(task, examples, self.tokenizer, self.spec.settings.max_length)
        return Workbench(
            backbone=self.source.backbone(),
            train=sample,
            validation=sample,
            device=self.device,
            precision="fp32",
            device_shared=False,
        )

    @property
    def sample(self) -> BatchStore:
        """The made-up examples."""
        return self.workbench.validation

    def model(self) -> TaskModel:
        """The trained model, as the trial had it before it was deployed; a new one each time.

        Raises:
            TrialRefused: its strategy cannot adapt this model.
            ValueError: the tensors do not fit it.
        """
        model = self.workbench.adapted(self.spec)
        load_trained(model, self.tensors)
        return model.eval()

    @cached_property
    def logits(self) -> npt.NDArray[np.float32]:
        """Of the made-up examples, ``(examples, answers)``."""
        return logits_of(self.model(), self.sample, self.device)


def strategy_of(name: str, knobs: Mapping[str, Value]) -> Strategy:
    """An installed strategy with these knobs.

    Raises:
        ExportError: it is not installed, or has other knobs.
    """
    try:
        kind = find_strategy(name)
    except StudyError as error:
        raise ExportError(
            f"its strategy {name} is not installed here ({'; '.join(error.problems)}); install the"
            " distribution it comes from"
        ) from error
    try:
        return kind(**knobs)
    except (TypeError, ValueError) as error:
        raise ExportError(f"the installed {name} does not take its knobs: {error}") from error


def task_told(name: str, settings: Mapping[str, Any]) -> AnyTask:
    """The task that a manifest or the record of a study tells.

    Raises:
        ExportError: it is not installed, or has other fields.
    """
    try:
        return task_of(name, settings)
    except StudyError as error:
        raise ExportError(*error.problems) from error


def spec_of(manifest: Manifest) -> TrialSpec:
    """The trial of an export, as far as a model is built by it.

    Raises:
        ExportError: its task or strategy is not installed.
    """
    return TrialSpec(
        study=manifest.study,
        arm=manifest.trial,
        number=0,
        task=task_told(manifest.task, manifest.task_settings),
        strategy=strategy_of(manifest.strategy, manifest.knobs),
        learning_rate=manifest.learning_rate,
        seed=manifest.seed,
        settings=manifest.settings,
        data="",
        model=manifest.base.fingerprint,
        code="",
        context="",
    )


def find_base(base: Base, instead: str | None = None) -> ModelSource:
    """The pretrained model, and no other.

    Args:
        base: what it was.
        instead: where to look; by default where it was.

    Raises:
        ModelError: it is not there, or not the same.
    """
    try:
        source = locate(instead or base.address)
    except ModelError as error:
        raise ModelError(
            *error.problems, f"the base model was {base.name} ({base.fingerprint}): name where it"
            " lies with --model"
        ) from error  # fmt: skip
    if source.fingerprint != base.fingerprint:
        raise ModelError(
            f"{instead or base.address}: is {source.fingerprint}, the base model was"
            f" {base.fingerprint}; name where that lies with --model"
        )
    return source


def base_of(source: ModelSource) -> Base:
    """What is to be remembered of a pretrained model."""
    return Base(
        name=source.name,
        address=source.address,
        fingerprint=source.fingerprint,
        tokenizer=tokenizer_fingerprint(source.tokenizer()),
    )
