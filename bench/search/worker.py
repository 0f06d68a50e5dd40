"""The worker process: a Tune trainable that keeps imports, backbone and questions alive."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune

from bench.ledger import Ledger
from bench.model import choose_precision
from bench.record import TestScore
from bench.spec import Precision, TrialSpec
from bench.tokens import TokenSplit
from bench.trial import Progress, Trial, score_test
from bench.weights import Weights
from bench.workbench import Workbench

SPEC = "spec"
PROGRESS = "progress"
SCORING = "scoring"
SCORE = "score"

MALLOPT = {"M_MMAP_THRESHOLD": (-3, 32 << 20), "M_TRIM_THRESHOLD": (-1, (1 << 31) - 1)}
"""Parameters of glibc's ``mallopt``: name to number and value. With these, what a training step
frees stays with the process for the next step; else the kernel takes back, clears and maps the
same memory again and again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerSetup:
    """What a worker needs before its first trial; shipped once per node by the object store.

    Attributes:
        weights: of the pretrained model.
        train: training questions.
        validation: validation questions.
        precision: as asked.
        threads: threads of arithmetic on a CPU.
        use_gpu: whether the worker was given an accelerator.
        device_shared: whether other trials may use the device meanwhile.
        folder: the run folder, reachable from every node.
    """

    weights: Weights
    train: TokenSplit
    validation: TokenSplit
    precision: Precision
    threads: int
    use_gpu: bool
    device_shared: bool
    folder: Path

    def workbench(self) -> Workbench:
        """Takes up the backbone and the device."""
        torch.set_num_threads(self.threads)
        device = torch.device("cuda" if self.use_gpu else "cpu")
        return Workbench(
            backbone=self.weights.backbone(),
            train=self.train,
            validation=self.validation,
            device=device,
            precision=choose_precision(self.precision, device),
            device_shared=self.device_shared,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scoring:
    """A chosen trial that is to answer the test questions.

    Attributes:
        spec: the trial.
        test: the test questions.
        data: their content hash.
    """

    spec: TrialSpec
    test: TokenSplit
    data: str


class TrialWorker(tune.Trainable):
    """Runs the trials it is given one after the other; one step is one epoch, or one scoring."""

    def setup(self, config: dict[str, Any], setup: WorkerSetup | None = None) -> None:
        """Takes up what lasts, then prepares the first trial."""
        if setup is None:
            raise TypeError("wrap the class with tune.with_parameters(…, setup=…)")
        _keep_freed_memory()
        self._ledger = Ledger(setup.folder)
        self._workbench = setup.workbench()
        self._trial: Trial | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares the next trial on what is there already."""
        if self._trial is not None:
            self._trial.close()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Advances the trial by an epoch, or scores a chosen one."""
        if self._trial is None:
            return {SCORE: self._score(), "done": True}
        progress: Progress = self._trial.advance()
        return {PROGRESS: progress, "done": progress.ended}

    def _begin(self, config: dict[str, Any]) -> None:
        self._trial = None
        self._scoring: Scoring | None = config.get(SCORING)
        spec: TrialSpec | None = config.get(SPEC)
        if spec is not None:
            checkpoint = self._ledger.checkpoint(spec.fingerprint)
            self._trial = Trial(spec, self._workbench, checkpoint)

    def _score(self) -> TestScore | str:
        """The score, or why there is none."""
        task = self._scoring
        assert task is not None
        checkpoint = self._ledger.checkpoint(task.spec.fingerprint)
        try:
            return score_test(task.spec, self._workbench, checkpoint, task.test, task.data)
        except Exception as error:  # noqa: BLE001 - the edge of a trial's second half
            return f"{type(error).__name__}: {error}"


def _keep_freed_memory() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # a C library other than glibc
    if mallopt is not None:
        for parameter, value in MALLOPT.values():
            mallopt(parameter, value)
