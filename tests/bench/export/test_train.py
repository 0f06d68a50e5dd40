"""Training anew is the trial's own training, on more questions and no longer than was best."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.export.train import train_final
from bench.strategy import Strategy
from strategies.linear import Linear
from strategies.lora import LoRA
from tests.helpers.trials import make_spec, make_workbench, run

STRATEGIES = [LoRA(dropout=0.1), Linear()]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.name)
def test_on_the_same_questions_it_gives_what_the_trial_has_stored(
    tmp_path: Path, strategy: Strategy
) -> None:
    spec = make_spec(strategy, epochs=3)
    done = run(spec, make_workbench(), tmp_path)
    assert done.record.accuracy is not None
    counted: list[int] = []
    epochs = done.record.accuracy.best_epoch

    found = train_final(spec, make_workbench(), epochs, counted.append)

    stored = load_file(done.checkpoint)
    assert found.keys() == stored.keys()
    for name, tensor in stored.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert sum(counted) == 24 * epochs


def test_another_seed_gives_another_model() -> None:
    first, second = (
        train_final(make_spec(LoRA(), seed=seed), make_workbench(), 1, lambda _: None)
        for seed in (0, 1)
    )
    assert not torch.equal(first["head.weight"], second["head.weight"])
