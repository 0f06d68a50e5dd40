"""What a worker keeps from trial to trial: the pretrained backbone, the questions, the device."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from bench.clock import Stopwatch
from bench.errors import TrialRefused
from bench.measure import latency, predict
from bench.model import MultipleChoiceModel, store_in_bf16
from bench.record import Inference, Latency
from bench.spec import TrialSpec
from bench.strategy import Strategy
from bench.tokens import TokenSplit, batches, evaluation_order

EVALUATION_BATCH = 32
"""Questions per batch when nothing is learnt."""

SINGLE_REPEATS, BATCHED_REPEATS = 30, 10
"""Timed passes at one question and at the evaluation batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Workbench:
    """See the module.

    Attributes:
        backbone: the pretrained model; never changed, every trial adapts a copy.
        train: training questions.
        validation: validation questions.
        device: where trials compute.
        precision: ``fp32`` or ``bf16``.
        device_shared: whether other trials may compute on the same device at the same time.
    """

    backbone: PreTrainedModel
    train: TokenSplit
    validation: TokenSplit
    device: torch.device
    precision: str
    device_shared: bool

    def stopwatch(self) -> Stopwatch:
        """A clock that waits for the device."""
        if self.device.type == "cuda":
            return Stopwatch(lambda: torch.cuda.synchronize(self.device))
        return Stopwatch()

    def adapted(self, spec: TrialSpec) -> MultipleChoiceModel:
        """A copy of the backbone as the strategy wants it, with a fresh head, on the device.

        Head and layers are drawn from the seed separately, so that equal seeds give equal heads
        whatever the strategy inserts.

        Raises:
            TrialRefused: the strategy cannot adapt this backbone.
        """
        reason = spec.strategy.refuse(self.backbone.config)
        if reason is not None:
            raise TrialRefused(spec.strategy.name, reason)
        torch.manual_seed(spec.seed)
        model = MultipleChoiceModel(
            nn.Identity(),
            width=self.backbone.config.hidden_size,
            pooling=spec.settings.pooling,
            dropout=spec.settings.head_dropout,
        )
        torch.manual_seed(spec.seed)
        model.backbone = spec.strategy.adapt(copy.deepcopy(self.backbone))
        if self.precision == "bf16":
            store_in_bf16(model.backbone)
        return model.to(self.device)

    def answers(self, model: nn.Module, split: TokenSplit) -> npt.NDArray[np.int64]:
        """Predicted choice per question of a split."""
        order = evaluation_order(split, EVALUATION_BATCH)
        return predict(model, batches(split, order), device=self.device, precision=self.precision)

    def deploy(
        self, strategy: Strategy, model: MultipleChoiceModel, stopwatch: Stopwatch
    ) -> Inference:
        """Brings a trained model into the form in which it answers, and times it there.

        Args:
            strategy: the one that adapted it.
            model: changed in place.
            stopwatch: the clock.
        """
        model.eval()
        has_other_form = type(strategy).deploy is not Strategy.deploy
        undeployed = self._latency(model, 1, SINGLE_REPEATS, stopwatch) if has_other_form else None
        model.backbone = strategy.deploy(model.backbone)
        if self.precision == "bf16":
            store_in_bf16(model.backbone, trained_too=True)
        single = self._latency(model, 1, SINGLE_REPEATS, stopwatch)
        batched = self._latency(model, EVALUATION_BATCH, BATCHED_REPEATS, stopwatch)
        seconds = stopwatch.time(lambda: self.answers(model, self.validation))
        return Inference(
            seconds=seconds,
            questions_per_second=self.validation.questions / seconds,
            single=single,
            batched=batched,
            undeployed=undeployed,
        )

    def _latency(
        self, model: nn.Module, batch_size: int, repeats: int, stopwatch: Stopwatch
    ) -> Latency:
        return latency(
            model,
            self.validation,
            batch_size=batch_size,
            repeats=repeats,
            device=self.device,
            precision=self.precision,
            stopwatch=stopwatch,
        )
