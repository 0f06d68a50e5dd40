"""What PEFT's methods train: closed forms, PEFT's own count, and what a trial records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.records.trial_record import Status
from strategies.lora import LoRA
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.helpers.peft_methods import WELL_KNOWN, peft
from tests.helpers.tiny import INNER, KEY_VALUE_HEADS, LAYERS, WIDTH, tiny
from tests.helpers.trials import HEAD, make_spec, make_workbench, run

QUERY_VALUE = LAYERS * 2
NORMS = 2 * LAYERS + 1


def trained(strategy: Any, family: str = "bert") -> int:
    adapted = strategy.adapt(tiny(family))
    return sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)


@pytest.mark.parametrize(
    ("strategy", "family", "count"),
    [
        (peft("lora", r=3), "bert", QUERY_VALUE * 3 * (WIDTH + WIDTH)),
        (peft("rslora", r=3), "bert", QUERY_VALUE * 3 * (WIDTH + WIDTH)),
        (peft("dora", r=3), "bert", QUERY_VALUE * (3 * (WIDTH + WIDTH) + WIDTH)),
        (peft("vera", r=16), "bert", QUERY_VALUE * (16 + WIDTH)),
        (peft("loha", r=3), "bert", QUERY_VALUE * 2 * 3 * (WIDTH + WIDTH)),
        # The factors of 32 nearest to its root are 4 and 8: 4 × 4 whole, 8 × 8 of rank 2.
        (peft("lokr", r=2), "bert", QUERY_VALUE * (4 * 4 + 2 * (8 + 8))),
        # PEFT's table: key, value, and the input of both layers called output.dense.
        (peft("ia3"), "bert", LAYERS * (3 * WIDTH + INNER)),
        (peft("ia3"), "llama", LAYERS * (2 * KEY_VALUE_HEADS * WIDTH // 4 + INNER)),
        (peft("ln_tuning"), "bert", NORMS * 2 * WIDTH),
        (peft("ln_tuning"), "llama", NORMS * WIDTH),
        (peft("oft", oft_block_size=8), "bert", QUERY_VALUE * (WIDTH // 8) * (8 * 7 // 2)),
        (peft("boft", boft_block_size=4), "bert", QUERY_VALUE * (WIDTH * 4 + WIDTH)),
        (peft("fourierft", n_frequency=100), "bert", QUERY_VALUE * 100),
        (peft("p_tuning"), "bert", 8 * WIDTH + 3 * (WIDTH * WIDTH + WIDTH)),
        (peft("prompt_tuning", num_virtual_tokens=5), "bert", 5 * WIDTH),
        (peft("prompt_tuning", num_virtual_tokens=5), "electra", 5 * 16),
        (peft("prefix_tuning", num_virtual_tokens=5), "bert", 5 * LAYERS * 2 * WIDTH),
        (
            peft("prefix_tuning", num_virtual_tokens=5),
            "qwen3",
            5 * LAYERS * 2 * KEY_VALUE_HEADS * 16,
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_as_many_parameters_train_as_the_closed_form_says(
    strategy: Any, family: str, count: int
) -> None:
    assert trained(strategy, family) == count


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (peft("lora", r=4), LoRA(rank=4)),
        (peft("prompt_tuning", num_virtual_tokens=6), Prompt(length=6)),
        (peft("prefix_tuning", num_virtual_tokens=6), Prefix(length=6)),
    ],
    ids=["lora", "prompt", "prefix"],
)
def test_pefts_methods_train_as_many_as_ours(theirs: Any, ours: Any, family: str) -> None:
    assert trained(theirs, family) == trained(ours, family)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("strategy", WELL_KNOWN, ids=lambda s: s.name)
def test_a_trial_records_what_peft_counts_and_the_head(
    strategy: Any, precision: str, tmp_path: Path
) -> None:
    adapted = strategy.adapt(tiny("bert"))
    counted, _ = getattr(adapted, "adapted", adapted).get_nb_trainable_parameters()
    spec = make_spec(strategy, epochs=1, pooling="cls")
    record = run(spec, make_workbench(precision=precision), tmp_path).record

    assert record.status is Status.COMPLETED, record.reason
    parameters = record.parameters
    assert parameters is not None
    assert parameters.trained == counted + HEAD
    assert parameters.total == sum(w.numel() for w in adapted.parameters()) + HEAD
    left = parameters.added_at_inference
    prompts = sum(w.numel() for w in tiny("bert").parameters())
    deployed = strategy.deploy(adapted.eval())
    assert left == sum(w.numel() for w in deployed.parameters()) - prompts + HEAD
