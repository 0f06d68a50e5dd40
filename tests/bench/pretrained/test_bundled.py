"""The bundled model learns from the embedded questions what guessing does not tell."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.data.load import Limits, load_dataset
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tokens import tokenise
from bench.pretrained.source import locate, tokenizer_fingerprint
from bench.records.spec import TrainSettings, TrialSpec
from bench.records.trial_record import Status
from bench.training.trial import Trial
from bench.training.worker_state import Workbench
from strategies.lora import LoRA

CHANCE = 0.25


@pytest.mark.slow
def test_lora_on_the_bundled_model_is_clearly_above_chance(tmp_path: Path) -> None:
    source = locate("bundled")
    tokenizer = source.tokenizer()
    dataset = load_dataset("elementary", Limits(train=800, validation=300))
    settings = TrainSettings(epochs=2, precision="fp32")
    train, validation = (
        tokenise(dataset.task, dataset.splits[split], tokenizer, settings.max_length)
        for split in ("train", "validation")
    )
    workbench = Workbench(
        backbone=source.backbone(),
        train=train,
        validation=validation,
        device=torch.device("cpu"),
        precision=settings.precision,
        device_shared=False,
    )
    spec = TrialSpec(
        study="bundled",
        arm="lora",
        number=0,
        task=MultipleChoice(),
        strategy=LoRA(),
        learning_rate=1e-3,
        seed=0,
        settings=settings,
        data=tokenizer_fingerprint(tokenizer),
        model=source.fingerprint,
        code="",
        context="",
    )
    trial = Trial(spec, workbench, tmp_path / "checkpoint")
    trial.advance()
    record = trial.advance().record
    assert record
    assert record.status is Status.COMPLETED, record.traceback
    assert record.accuracy
    assert record.parameters
    assert record.parameters.trained == 6 * 2 * 8 * (384 + 384) + 384 + 1
    assert record.accuracy.validation >= CHANCE + 0.05
