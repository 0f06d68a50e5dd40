"""Run one trial: adapt, train, measure. TrialSpec in, TrialRecord out; knows nothing of Ray."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from bench.data.tokens import Integers, TokenSplit
from bench.errors import StorageError, TrialDiverged, TrialRefused, summary
from bench.metrics import ACCURACY, METRICS, Outcome, figure
from bench.records.scrub import scrub
from bench.records.spec import TrialSpec
from bench.records.trial_record import (
    Accuracy,
    Parameters,
    Scores,
    Seconds,
    Status,
    TestScore,
    TrialRecord,
)
from bench.storage.files import write_whole
from bench.task import AnyTask
from bench.training.loop import Training, is_out_of_memory
from bench.training.measure import (
    Answers,
    PeakMemory,
    count,
    environment,
    load_trained,
    trained_tensors,
)
from bench.training.model import TaskModel
from bench.training.worker_state import Features, Workbench


class History:
    """See the module.

    Args:
        task: names the metrics.
        objective: the metric that chooses the best epoch, the first of equals.
        right: right answer per validation example.
        before: given before the first step.

    Attributes:
        best_epoch: counted from 1; 0 before there is one.
    """

    def __init__(self, task: AnyTask, objective: str, right: Integers, before: Outcome) -> None:
        self._metrics: Sequence[str] = task.metrics
        self._objective = METRICS[objective]
        self._right = right
        self._before = before
        self._per_epoch: list[Outcome] = []
        self._best: Answers | None = None
        self.best_epoch = 0

    def __len__(self) -> int:
        return len(self._per_epoch)

    def add(self, answers: Answers) -> bool:
        """Notes what was answered after an epoch.

        Returns:
            Whether it is the best so far.
        """
        self._per_epoch.append(answers.outcome(self._right))
        rank = self._rank(len(self))
        if self.best_epoch and rank <= self._rank(self.best_epoch):
            return False
        self.best_epoch, self._best = len(self), answers
        return True

    def _rank(self, epoch: int) -> float:
        return self._objective.rank(self._score(self._per_epoch[epoch - 1]))

    def _score(self, outcome: Outcome) -> float:
        return figure(self._objective.name, outcome)

    @property
    def last(self) -> float | None:
        """The objective after the last epoch; ``None`` before there is one."""
        return self._score(self._per_epoch[-1]) if self._per_epoch else None

    def accuracy(self) -> Accuracy:
        """Accuracies, for the record. An epoch has been added."""
        assert self._best is not None
        per_epoch = tuple(figure(ACCURACY, outcome) for outcome in self._per_epoch)
        return Accuracy(
            before=figure(ACCURACY, self._before),
            per_epoch=per_epoch,
            validation=per_epoch[self.best_epoch - 1],
            best_epoch=self.best_epoch,
            predictions=tuple(self._best.given.tolist()),
        )

    def scores(self) -> Scores:
        """The objective, and all metrics at the best epoch, for the record."""
        assert self._best is not None
        best = self._per_epoch[self.best_epoch - 1]
        return Scores(
            objective=self._objective.name,
            before=self._score(self._before),
            per_epoch=tuple(map(self._score, self._per_epoch)),
            validation={name: figure(name, best) for name in self._metrics},
            confidences=self._best.packed,
        )


TRACEBACK_LINES = 30


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is known of a trial after an epoch.

    Attributes:
        epoch: epochs done.
        validation: the objective after this epoch; ``None`` when the trial ended without one.
        record: what the trial has come to: its end, or, while it could go on, what is to be
            kept of it if it is stopped here (``pruned``).
        ended: whether that is its end.
    """

    epoch: int
    validation: float | None
    record: TrialRecord
    ended: bool


@dataclass(kw_only=True)
class _Learner:
    """An adapted model, ready to be trained.

    Attributes:
        model: on its device.
        training: its optimizer.
        features: what its backbone gives, if that does not learn.
        history: what it answered on validation so far.
        tensors: what was trained, as it was at the best epoch.
    """

    model: TaskModel
    training: Training
    features: Features | None
    history: History
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


class Trial:
    """One trial, advanced an epoch at a time, so that others may watch it or stop it.

    Args:
        spec: what to run.
        workbench: what the worker keeps.
        checkpoint: file for the tensors that were trained.
    """

    def __init__(self, spec: TrialSpec, workbench: Workbench, checkpoint: Path) -> None:
        self.spec = spec
        self._bench = workbench
        self._checkpoint = checkpoint
        self._clock = workbench.stopwatch()
        self._memory = PeakMemory(workbench.device)
        self._learner: _Learner | None = None

    def advance(self) -> Progress:
        """Trains and validates one epoch; after the last one the progress holds the record.

        Whatever goes wrong inside a trial ends here as a record with a status and a reason.

        Raises:
            StorageError: what was trained cannot be stored.
        """
        try:
            self._learner = self._learner or self._prepare()
            self._train_epoch(self._learner)
            done = len(self._learner.history) == self.spec.settings.epochs
            record = self._finish(self._learner) if done else self._so_far(self._learner)
        except StorageError:
            raise  # the trial is sound, and will run again when there is room
        except Exception as error:
            if isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error):
                raise  # the device is lost to this process: only a new worker can go on
            record = failure(self.spec, error)
        ended = record.status is not Status.PRUNED
        history = self._learner.history if self._learner else None
        if ended:
            self.close()
        return Progress(
            epoch=len(history) if history else 0,
            validation=history.last if history else None,
            record=record,
            ended=ended,
        )

    def close(self) -> None:
        """Lets go of model and optimizer; to be called before another trial uses the worker."""
        self._learner = None
        if self._bench.device.type == "cuda":
            torch.cuda.empty_cache()  # a neighbour on the same device may need it

    def _prepare(self) -> _Learner:
        """Adapts the model and scores it before it has learnt anything."""
        spec, bench = self.spec, self._bench
        with self._clock.span("load"):
            model = bench.adapted(spec)
            self._memory.watch(model)
            model.recomputed.append(self._memory.look_again)
        steps_per_epoch = -(-bench.train.split.examples // spec.settings.batch_size)
        training = Training(
            model,
            spec.settings,
            learning_rate=spec.learning_rate,
            total_steps=steps_per_epoch * spec.settings.epochs,
            precision=bench.precision,
            seed=spec.seed,
        )
        if spec.settings.compile:
            with self._clock.span("compile"):
                bench.compile(spec, model, training)
        with self._clock.span("load"):
            features = bench.features(spec, model)
        with self._clock.span("validation"):
            before = bench.before(spec, model, features)
        torch.manual_seed(spec.seed)  # of dropout on a GPU, whatever the strategy has drawn before
        history = History(spec.task, spec.objective, bench.validation.split.answers, before)
        return _Learner(model=model, training=training, features=features, history=history)

    def _train_epoch(self, learner: _Learner) -> None:
        """Trains and validates once, and keeps the trained tensors if it is the best so far."""
        bench, epoch = self._bench, len(learner.history)
        batches = bench.epoch(self.spec, epoch, learner.features)
        with self._clock.span("train"):
            learner.training.epoch(batches)
        known = None if learner.features is None else learner.features.validation
        with self._clock.span("validation"):
            answers = bench.answers(learner.model, bench.validation, known)
        if learner.history.add(answers):
            learner.tensors = {
                name: tensor.to("cpu", copy=True).contiguous()
                for name, tensor in trained_tensors(learner.model).items()
            }

    def _finish(self, learner: _Learner) -> TrialRecord:
        """Goes back to the best epoch, stores it, and measures the form that is deployed."""
        bench, model = self._bench, learner.model
        load_trained(model, learner.tensors)
        with self._clock.span("checkpoint"):
            content = save(learner.tensors)
            write_whole(self._checkpoint, content)
        so_far = self._so_far(learner)
        parameters = so_far.parameters
        assert parameters is not None
        inference = bench.deploy(self.spec, model, self._clock)
        left = count(model.parameters()) - count(bench.backbone.parameters())
        return so_far.model_copy(
            update={
                "status": Status.COMPLETED,
                "reason": None,
                "seconds": self._seconds(len(learner.history)),
                "parameters": parameters.model_copy(
                    update={"stored_bytes": len(content), "added_at_inference": left}
                ),
                "inference": inference,
            }
        )

    def _so_far(self, learner: _Learner) -> TrialRecord:
        """What would be kept of the trial if it were stopped after the last epoch it has done."""
        bench, model, tensors = self._bench, learner.model, learner.tensors
        trained, head, total = (
            count(each) for each in (tensors.values(), model.head.parameters(), model.parameters())
        )
        done, epochs = len(learner.history), self.spec.settings.epochs
        micro_batch = learner.training.micro_batch
        return TrialRecord.of(
            self.spec,
            Status.PRUNED,
            reason=f"stopped after {done} of {epochs} epochs",
            accuracy=learner.history.accuracy(),
            scores=learner.history.scores(),
            parameters=Parameters(
                trained=trained,
                head=head,
                added=total - count(bench.backbone.parameters()),
                total=total,
                trained_tensors=len(tensors),
                stored_bytes=None,
                added_at_inference=None,
            ),
            seconds=self._seconds(done),
            peak_bytes=self._memory.peak_bytes,
            micro_batch=micro_batch if micro_batch < self.spec.settings.batch_size else None,
            environment=environment(
                bench.device,
                bench.precision,
                str(bench.backbone.config._attn_implementation),
                compiled=self.spec.settings.compile,
            ),
        )

    def _seconds(self, epochs: int) -> Seconds:
        spans = self._clock.seconds
        seen = self._bench.train.split.examples * epochs
        return Seconds(
            load=spans["load"],
            train=spans["train"],
            validation=spans["validation"],
            checkpoint=spans.get("checkpoint", 0.0),
            compile=spans.get("compile", 0.0),
            train_per_question=spans["train"] / seen,
            lost=0.0,
            device_shared=self._bench.device_shared,
        )


def score_test(
    spec: TrialSpec, workbench: Workbench, checkpoint: Path, test: TokenSplit, data: str
) -> TestScore:
    """Answers the test split once with the tensors a trial has stored.

    Args:
        spec: the chosen trial.
        workbench: a worker's.
        checkpoint: file the trial has written.
        test: the test examples.
        data: their content hash.

    Raises:
        OSError: the checkpoint cannot be read.
        ValueError: it does not fit the model.
    """
    model = workbench.adapted(spec)
    load_trained(model, load_file(checkpoint))
    answers = workbench.answers(model, workbench.store(test))
    outcome = answers.outcome(test.answers)
    return TestScore(
        accuracy=figure(ACCURACY, outcome),
        predictions=tuple(answers.given.tolist()),
        answers=tuple(test.answers.tolist()),
        data=data,
        scores={name: figure(name, outcome) for name in spec.task.metrics},
        confidences=answers.packed,
    )


def failure(spec: TrialSpec, error: Exception) -> TrialRecord:
    """The record of a trial that an exception ended."""
    if isinstance(error, TrialRefused):
        return TrialRecord.of(spec, Status.SKIPPED, reason=error.reason)
    if isinstance(error, TrialDiverged):
        return TrialRecord.of(spec, Status.DIVERGED, reason=str(error))
    told = scrub(summary(error))
    if is_out_of_memory(error):
        size = f"{spec.settings.batch_size} {spec.task.words.examples}"
        reason = f"batch of {size} does not fit: {told}"
        return TrialRecord.of(spec, Status.OUT_OF_MEMORY, reason=reason)
    lines = scrub("".join(traceback.format_exception(error))).splitlines()
    return TrialRecord.of(
        spec, Status.FAILED, reason=told, traceback="\n".join(lines[-TRACEBACK_LINES:])
    )
