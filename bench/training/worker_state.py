"""What a worker keeps from trial to trial: the pretrained backbone, the examples, the device."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from bench.anatomy import crowded
from bench.data.batches import BatchStore, evenly
from bench.data.tokens import TokenSplit
from bench.errors import TrialRefused
from bench.metrics import Outcome
from bench.records.spec import TrialSpec
from bench.records.trial_record import Inference
from bench.strategy import Strategy
from bench.task import AnyTask, Batch
from bench.training.loop import Training, autocast
from bench.training.measure import Answers, Stopwatch, latency, pass_seconds, predict
from bench.training.model import TaskModel, store_in_bf16
from bench.training.speed.compiling import extremes
from bench.training.speed.cpu import kernels

EVALUATION_BATCH = {"cpu": 8, "cuda": 64}
"""Examples per batch when nothing is learnt, by kind of device. A core is busy with eight, and
pads less; an accelerator has to be filled."""

SINGLE_REPEATS, BATCHED_REPEATS = 10, 10
"""Timed passes at one example, and at the evaluation batch if that few do for the split."""

THOROUGH = 3
"""How many times over passes are timed where a trial has the device to itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What a backbone gives that learns nothing: one vector per sequence.

    Attributes:
        source: strategy and seed of the backbone.
        train: ``(sequences, width)``.
        validation: ``(sequences, width)``.
    """

    source: tuple[Strategy, int]
    train: torch.Tensor
    validation: torch.Tensor


class Workbench:
    """See the module.

    Args:
        backbone: the pretrained model; never changed, every trial adapts a copy.
        train: training examples.
        validation: validation examples.
        device: where trials compute.
        precision: ``fp32`` or ``bf16``.
        device_shared: whether other trials may compute on the same device at the same time.
    """

    def __init__(
        self,
        *,
        backbone: PreTrainedModel,
        train: TokenSplit,
        validation: TokenSplit,
        device: torch.device,
        precision: str,
        device_shared: bool,
    ) -> None:
        self.backbone = backbone
        self.device = device
        self.precision = precision
        self.device_shared = device_shared
        self.evaluation_batch = EVALUATION_BATCH[device.type]
        self.train = self.store(train)
        self.validation = self.store(validation)
        self._features: Features | None = None
        self._before: dict[tuple[AnyTask, Strategy | None, int], Outcome] = {}

    def store(self, split: TokenSplit) -> BatchStore:
        """Batches of a split."""
        return BatchStore(split, self.device)

    def stopwatch(self) -> Stopwatch:
        """A clock that waits for the device."""
        if self.device.type == "cuda":
            return Stopwatch(lambda: torch.cuda.synchronize(self.device))
        return Stopwatch()

    def adapted(self, spec: TrialSpec) -> TaskModel:
        """A copy of the backbone as the strategy wants it, with a fresh head, on the device.

        Head and layers are drawn from the seed separately, so that equal seeds give equal heads
        whatever the strategy inserts.

        Raises:
            TrialRefused: the strategy cannot adapt this backbone.
        """
        longest = max(int(each.split.longest.max()) for each in (self.train, self.validation))
        config, taken = self.backbone.config, spec.strategy.positions_taken
        reason = spec.refusal(config) or crowded(config, longest, taken)
        if reason is not None:
            raise TrialRefused(spec.strategy.name, reason)
        torch.manual_seed(spec.seed)
        model = TaskModel(
            spec.task,
            nn.Identity(),
            width=config.hidden_size,
            pooling=spec.settings.pooling,
            dropout=spec.settings.head_dropout,
        )
        torch.manual_seed(spec.seed)
        model.backbone = spec.strategy.adapt(copy.deepcopy(self.backbone))
        if self.precision == "bf16":
            store_in_bf16(model.backbone)
        model.to(self.device)
        self._leave_out_unread(model)
        if spec.settings.gradient_checkpointing:
            model.checkpoint(compiled=spec.settings.compile)
        if spec.settings.compile:
            model.compile_backbone()
        return model

    def compile(self, spec: TrialSpec, model: TaskModel, training: Training) -> None:
        """Has the compiler make the forms that a trial needs, by passes over unequal batches.

        Args:
            spec: the trial.
            model: as ``adapted`` gave it.
            training: of the model; learns nothing here.
        """
        if learns_inside(model):
            batches = self.train.epoch(spec.settings.batch_size, spec.seed, 0)
            training.rehearse(extremes(list(batches)))
        else:
            for store in (self.train, self.validation):
                batches = store.shortest_first(self.evaluation_batch)
                self._vectors(model, extremes(list(batches)))
        self._compile_answers(model)

    def _compile_answers(self, model: TaskModel) -> None:
        batches = self.validation.shortest_first(self.evaluation_batch)
        pass_seconds(
            model,
            extremes([*batches, *self.singles]),
            device=self.device,
            precision=self.precision,
            stopwatch=self.stopwatch(),
        )

    def features(self, spec: TrialSpec, model: TaskModel) -> Features | None:
        """The vectors of all examples, if nothing inside the backbone learns.

        Such a backbone is a function: it reads each example once, without dropout, and the next
        trial of the same strategy and seed reads none.
        """
        if learns_inside(model):
            return None
        source = (spec.strategy, spec.seed)
        if self._features is None or self._features.source != source:
            train, validation = (self._read(model, s) for s in (self.train, self.validation))
            self._features = Features(source=source, train=train, validation=validation)
        return self._features

    def before(self, spec: TrialSpec, model: TaskModel, features: Features | None) -> Outcome:
        """What a model answers on validation before training.

        It depends on the strategy and the seed, not on the learning rate; where the strategy
        starts as the frozen model, on the seed alone.
        """
        strategy = None if spec.strategy.starts_unchanged else spec.strategy
        source = (spec.task, strategy, spec.seed)
        if source not in self._before:
            known = None if features is None else features.validation
            answers = self.answers(model, self.validation, known)
            self._before[source] = answers.outcome(self.validation.split.answers)
        return self._before[source]

    def epoch(self, spec: TrialSpec, epoch: int, features: Features | None) -> Iterable[Batch]:
        """The batches of a training epoch."""
        batches = self.train.epoch(spec.settings.batch_size, spec.seed, epoch)
        return batches if features is None else _with_vectors(batches, features.train)

    def answers(
        self, model: nn.Module, store: BatchStore, vectors: torch.Tensor | None = None
    ) -> Answers:
        """What a model answers.

        Args:
            model: on the device.
            store: the examples.
            vectors: of their sequences, if they are known already.
        """
        batches = store.shortest_first(self.evaluation_batch)
        if vectors is not None:
            batches = _with_vectors(batches, vectors)
        return predict(model, batches, device=self.device, precision=self.precision)

    def deploy(self, spec: TrialSpec, model: TaskModel, stopwatch: Stopwatch) -> Inference:
        """Brings a trained model into the form in which it answers, and times it there.

        A trial that confirms another is timed more often, and before it is deployed at both sizes
        of batch. In a search one size has to do, since nothing is decided by it. Longer than other
        functions: both forms have to be timed alike, which is seen best side by side.

        Args:
            spec: the trial.
            model: changed in place.
            stopwatch: the clock.
        """
        strategy, times = spec.strategy, THOROUGH if spec.confirms else 1
        ones, batches = self.singles * times, self.batched * times
        seconds = partial(
            pass_seconds,
            model,
            device=self.device,
            precision=self.precision,
            stopwatch=stopwatch,
        )
        single_sizes = [1] * len(ones)
        batch_sizes = [len(batch.rows) for batch in batches]
        undeployed = undeployed_batched = None
        if type(strategy).deploy is not Strategy.deploy:
            taken = seconds([*ones, *batches] if spec.confirms else ones)
            undeployed = latency(taken[: len(ones)], single_sizes)
            if spec.confirms:
                undeployed_batched = latency(taken[len(ones) :], batch_sizes)
        self._to_deployed_form(spec, model, stopwatch)
        taken = seconds([*ones, *batches])
        throughput = sum(batch_sizes) / sum(taken[len(ones) :])
        return Inference(
            seconds=self.validation.split.examples / throughput,
            questions_per_second=throughput,
            single=latency(taken[: len(ones)], single_sizes),
            batched=latency(taken[len(ones) :], batch_sizes),
            undeployed=undeployed,
            undeployed_batched=undeployed_batched,
        )

    def _to_deployed_form(self, spec: TrialSpec, model: TaskModel, stopwatch: Stopwatch) -> None:
        model.backbone = spec.strategy.deploy(model.backbone.eval())
        if self.precision == "bf16":
            store_in_bf16(model.backbone, trained_too=True)
        self._leave_out_unread(model)
        if spec.settings.compile:
            with stopwatch.span("compile"):
                model.compile_backbone()
                self._compile_answers(model)

    @cached_property
    def singles(self) -> list[Batch]:
        """Examples taken evenly from the validation split, each a batch."""
        places = np.linspace(0, self.validation.split.examples - 1, SINGLE_REPEATS)
        return [self.validation.collate(np.array([row])) for row in places.astype(np.int32)]

    @cached_property
    def batched(self) -> list[Batch]:
        """Evaluation batches of the validation split that stand for all, to be timed."""
        return evenly(list(self.validation.shortest_first(self.evaluation_batch)), BATCHED_REPEATS)

    @torch.no_grad()
    def _leave_out_unread(self, model: TaskModel) -> None:
        model.eval()
        with autocast(self.device, self.precision):
            model.leave_out_unread(self.singles[0].inputs)

    def _read(self, model: TaskModel, store: BatchStore) -> torch.Tensor:
        """The vector of each sequence of a split."""
        width = self.backbone.config.hidden_size
        vectors = torch.empty(store.split.sequences, width, device=self.device)
        batches = list(store.shortest_first(self.evaluation_batch))
        for batch, found in zip(batches, self._vectors(model, batches), strict=True):
            vectors[batch.sequences] = found
        return vectors

    @torch.no_grad()
    def _vectors(self, model: TaskModel, batches: Iterable[Batch]) -> list[torch.Tensor]:
        """Those of each batch."""
        model.eval()
        with autocast(self.device, self.precision), kernels(self.device):
            return [model.read(batch.inputs) for batch in batches]


def learns_inside(model: TaskModel) -> bool:
    """Whether anything but the head is trained."""
    return any(parameter.requires_grad for parameter in model.backbone.parameters())


def _with_vectors(batches: Iterable[Batch], vectors: torch.Tensor) -> Iterator[Batch]:
    return (replace(batch, vectors=vectors[batch.sequences]) for batch in batches)
