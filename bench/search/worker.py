"""The worker process: a Tune trainable that keeps imports, backbone and questions alive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from ray import tune
from transformers import PreTrainedModel

from bench.errors import ModelError
from bench.ledger import Ledger
from bench.model import choose_precision
from bench.source import locate
from bench.spec import Precision, TrialSpec
from bench.tokens import TokenSplit
from bench.trial import Progress, Trial
from bench.workbench import Workbench

SPEC = "spec"
PROGRESS = "progress"


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerSetup:
    """What a worker needs before its first trial; shipped once through the object store.

    Attributes:
        model: address of the model, found again on the worker's own node.
        model_fingerprint: what must be found there.
        train: training questions.
        validation: validation questions.
        precision: as asked.
        threads: threads of arithmetic on a CPU.
        use_gpu: whether the worker was given an accelerator.
        device_shared: whether other trials may use the device meanwhile.
        folder: the run folder, reachable from every node.
    """

    model: str
    model_fingerprint: str
    train: TokenSplit
    validation: TokenSplit
    precision: Precision
    threads: int
    use_gpu: bool
    device_shared: bool
    folder: Path

    def workbench(self) -> Workbench:
        """Loads the backbone and takes the device."""
        torch.set_num_threads(self.threads)
        device = torch.device("cuda" if self.use_gpu else "cpu")
        return Workbench(
            backbone=_backbone(self.model, self.model_fingerprint),
            train=self.train,
            validation=self.validation,
            device=device,
            precision=choose_precision(self.precision, device),
            device_shared=self.device_shared,
        )


@cache
def _backbone(model: str, fingerprint: str) -> PreTrainedModel:
    source = locate(model)
    if source.fingerprint != fingerprint:
        raise ModelError(f"{source.name}: this node has {source.fingerprint}, not {fingerprint}")
    return source.backbone()


class TrialWorker(tune.Trainable):
    """Runs the trials it is given one after the other; one step is one epoch."""

    def setup(self, config: dict[str, Any], setup: WorkerSetup | None = None) -> None:
        """Loads what lasts, then prepares the first trial."""
        if setup is None:
            raise TypeError("wrap the class with tune.with_parameters(…, setup=…)")
        self._setup = setup
        self._workbench = setup.workbench()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares the next trial on what is loaded already."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Advances the trial by an epoch."""
        progress: Progress = self._trial.advance()
        return {PROGRESS: progress, "done": progress.ended}

    def _begin(self, config: dict[str, Any]) -> None:
        spec: TrialSpec = config[SPEC]
        checkpoint = Ledger(self._setup.folder).checkpoint(spec.fingerprint)
        self._trial = Trial(spec, self._workbench, checkpoint)
