"""What a trial is expected to take, held against what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.training.rehearsal import device_memory, peak_bytes, rehearse
from bench.training.worker_state import Workbench
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from tests.helpers.trials import make_questions, make_spec, make_workbench, run


@pytest.mark.parametrize("strategy", [Full(), LoRA(rank=2)])
def test_more_epochs_take_longer_by_their_steps(strategy: object) -> None:
    workbench = make_workbench()
    short = rehearse(make_spec(strategy, epochs=1), workbench)
    long = rehearse(make_spec(strategy, epochs=200), workbench)
    steps = -(-24 // make_spec(strategy).settings.batch_size)
    assert short.step > 0
    assert long.trial - short.trial > 100 * steps * short.step / 2
    assert short.once == long.once == 0.0


def test_a_head_alone_reads_once_and_is_trained_for_nothing() -> None:
    found = rehearse(make_spec(Linear(), epochs=50), make_workbench())
    assert found.step == 0.0
    assert found.once > 0


def test_a_rehearsal_changes_nothing_a_trial_could_see(tmp_path: Path) -> None:
    fresh: Workbench = make_workbench()
    used: Workbench = make_workbench()
    rehearse(make_spec(LoRA(rank=2)), used)
    expected = run(make_spec(LoRA(rank=2)), fresh, tmp_path)
    got = run(make_spec(LoRA(rank=2)), used, tmp_path)
    assert got.record.accuracy == expected.record.accuracy
    assert got.checkpoint.read_bytes() == expected.checkpoint.read_bytes()


@pytest.mark.gpu
def test_on_an_accelerator_the_driver_is_counted_and_the_peak_is_at_least_a_trial_s(
    tmp_path: Path,
) -> None:
    device = torch.device("cuda")
    bench = make_workbench(device=device, train=make_questions(200, seed=1))
    for strategy in (Full(), LoRA(rank=8), Linear()):
        spec = make_spec(strategy, batch_size=24)
        measured = peak_bytes(spec, bench)
        taken = run(spec, bench, tmp_path).record.peak_bytes
        assert measured is not None
        assert taken is not None
        assert 0.8 * taken < measured < 3 * taken
    total, context = device_memory(device)
    assert 0 < context < total
