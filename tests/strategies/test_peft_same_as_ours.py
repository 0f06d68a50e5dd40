"""PEFT's LoRA, prompts and prefixes beside our own: equal weights, equal states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.training.model import TaskModel
from strategies.lora import LoRA, LowRankLinear
from strategies.prefix import LearnedPrefix, Prefix
from strategies.prompt import Prompt
from tests.helpers.peft_methods import peft
from tests.helpers.tiny import CONFIGS, WIDTH, sentences, tiny

LENGTH = 5
TOKENS = 7
FIRST_POSITION = {"roberta": CONFIGS["roberta"]().pad_token_id + 1}
PREFIXED = [f for f in CONFIGS if peft("prefix_tuning").refuse(CONFIGS[f]()) is None]


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_lora_gives_the_states_of_our_own(family: str) -> None:
    theirs: Any = peft("lora", r=3).adapt(tiny(family)).eval()
    ours = LoRA(rank=3).adapt(tiny(family)).eval()
    for name, mine in ours.named_modules():
        if isinstance(mine, LowRankLinear):
            layer = theirs.base_model.model.get_submodule(name)
            nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
            mine.down.copy_(layer.lora_A["default"].weight)
            mine.up.copy_(layer.lora_B["default"].weight)
    _check_same(theirs, ours, padded(family))


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_a_prompt_gives_the_states_of_our_own(family: str) -> None:
    theirs: Any = peft("prompt_tuning", num_virtual_tokens=LENGTH).adapt(tiny(family)).eval()
    ours = Prompt(length=LENGTH).adapt(tiny(family)).eval()
    ours.vectors.copy_(theirs.adapted.prompt_encoder["default"].embedding.weight)
    _check_same(theirs, ours, padded(family))


@pytest.mark.parametrize("family", PREFIXED)
@torch.no_grad()
def test_a_prefix_gives_the_states_of_our_own_at_the_same_positions(family: str) -> None:
    """PEFT's text begins behind the prefix, ours does not: the positions are moved back here."""
    theirs: Any = peft("prefix_tuning", num_virtual_tokens=LENGTH).adapt(tiny(family)).eval()
    ours = Prefix(length=LENGTH).adapt(tiny(family)).eval()
    prefixes = [module for module in ours.modules() if isinstance(module, LearnedPrefix)]
    heads, length, features = prefixes[0].keys.shape
    weight = theirs.adapted.prompt_encoder["default"].embedding.weight
    parts = weight.view(length, 2 * len(prefixes), heads, features).permute(1, 2, 0, 3)
    for prefix, (keys, values) in zip(prefixes, parts.split(2), strict=True):
        prefix.keys.copy_(keys)
        prefix.values.copy_(values)
    batch = sentences(tokens=TOKENS)
    positions = torch.arange(TOKENS)[None] + FIRST_POSITION.get(family, 0)
    moved = theirs(**batch, position_ids=positions).last_hidden_state
    torch.testing.assert_close(moved, ours(**batch).last_hidden_state)
    assert not torch.allclose(theirs(**batch).last_hidden_state, moved, atol=1e-4)


@torch.no_grad()
def test_token_types_reach_the_model_and_the_prompt_has_type_zero() -> None:
    theirs: Any = peft("prompt_tuning", num_virtual_tokens=LENGTH).adapt(tiny("bert")).eval()
    ours = Prompt(length=LENGTH).adapt(tiny("bert")).eval()
    ours.vectors.copy_(theirs.adapted.prompt_encoder["default"].embedding.weight)
    batch = sentences()
    plain = theirs(**batch).last_hidden_state
    batch["token_type_ids"] = torch.ones_like(batch["input_ids"])
    _check_same(theirs, ours, batch)
    assert not torch.allclose(theirs(**batch).last_hidden_state, plain, atol=1e-4)


@pytest.mark.parametrize("name", ["lora", "ia3", "oft", "prompt_tuning", "prefix_tuning"])
def test_the_state_of_the_first_token_is_the_same_where_no_other_is_computed(name: str) -> None:
    adapted = peft(name).adapt(tiny("bert"))
    model = TaskModel(MultipleChoice(), adapted, width=WIDTH, pooling="cls", dropout=0.0).eval()
    batch = padded("bert")
    with torch.no_grad():
        whole = model.read(batch)
        model.leave_out_unread(sentences(tokens=4))
        assert model._leading is not None
        torch.testing.assert_close(model.read(batch), whole)


def padded(family: str) -> dict[str, Tensor]:
    """Two texts, one of them padded."""
    batch = sentences(tokens=TOKENS)
    batch["attention_mask"][1, 5:] = 0
    batch["input_ids"][1, 5:] = CONFIGS[family]().pad_token_id
    return batch


def _check_same(theirs: nn.Module, ours: nn.Module, batch: dict[str, Tensor]) -> None:
    """Equal where there is text."""
    text = batch["attention_mask"].bool()
    expected = ours(**batch).last_hidden_state[text]
    torch.testing.assert_close(theirs(**batch).last_hidden_state[text], expected)
