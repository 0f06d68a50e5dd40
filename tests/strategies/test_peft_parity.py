"""The same weights in, the same hidden states out, as Hugging Face PEFT."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn

from strategies.lora import LoRA, LowRankLinear
from strategies.prefix import LearnedPrefix, Prefix
from strategies.prompt import Prompt
from tests.helpers.tiny import CONFIGS, HEADS, LAYERS, WIDTH, sentences, tiny

# PEFT asks the backbone for an attribute that transformers has renamed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning:transformers"
)

TASK = peft.TaskType.FEATURE_EXTRACTION
LENGTH = 5
ATTENTION = {
    "bert": r".*\.attention\.(self\.(query|key|value)|output\.dense)",
    "roberta": r".*\.attention\.(self\.(query|key|value)|output\.dense)",
    "electra": r".*\.attention\.(self\.(query|key|value)|output\.dense)",
    "distilbert": r".*\.(q_lin|k_lin|v_lin|out_lin)",
    "deberta-v2": r".*\.attention\.(self\.(query|key|value)_proj|output\.dense)",
    "modernbert": r".*\.attn\.(Wqkv|Wo)",
    "albert": r".*\.attention\.(query|key|value|dense)",
    "mpnet": r".*\.attn\.(q|k|v|o)",
    "qwen3": r".*\.(q|k|v|o)_proj",
    "llama": r".*\.(q|k|v|o)_proj",
}
NO_TABLE_ENTRY = {
    "distilbert": ["q_lin", "v_lin"],
    "modernbert": ["Wqkv"],
    "albert": ["query", "value"],
    "mpnet": ["q", "v"],
}
OUTSIDE_BLOCKS = {
    "electra": ["embeddings_project"],
    "albert": ["embedding_hidden_mapping_in"],
}
SHAPE = {"distilbert": {"token_dim": WIDTH, "num_attention_heads": HEADS, "num_layers": LAYERS}}
FIRST_POSITION = {"roberta": CONFIGS["roberta"]().pad_token_id + 1, "mpnet": 2}


def _lora_targets(family: str, targets: str) -> dict[str, Any]:
    if targets == "query_value":  # otherwise PEFT's own table of what to adapt in this family
        return {"target_modules": NO_TABLE_ENTRY[family]} if family in NO_TABLE_ENTRY else {}
    if targets == "attention":
        return {"target_modules": ATTENTION[family]}
    return {"target_modules": "all-linear", "exclude_modules": OUTSIDE_BLOCKS.get(family)}


@pytest.mark.parametrize("targets", ["query_value", "attention", "all_linear"])
@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_lora_gives_the_hidden_states_of_peft(family: str, targets: Any) -> None:
    config = peft.LoraConfig(
        task_type=TASK, r=3, lora_alpha=6, lora_dropout=0.0, **_lora_targets(family, targets)
    )
    theirs = peft.get_peft_model(tiny(family), config).eval()
    ours = LoRA(rank=3, alpha_ratio=2.0, targets=targets).adapt(tiny(family)).eval()
    layers = {
        name.removeprefix("base_model.model."): module
        for name, module in theirs.named_modules()
        if isinstance(module, peft.tuners.lora.Linear)
    }
    assert {n for n, m in ours.named_modules() if isinstance(m, LowRankLinear)} == set(layers)
    for name, layer in layers.items():
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        nn.init.normal_(up, std=0.1)
        mine = ours.get_submodule(name)
        mine.down.copy_(down)
        mine.up.copy_(up)
    expected = theirs(**sentences()).last_hidden_state
    assert not torch.allclose(expected, tiny(family)(**sentences()).last_hidden_state)
    torch.testing.assert_close(ours(**sentences()).last_hidden_state, expected)


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_a_prompt_gives_the_hidden_states_of_peft(family: str) -> None:
    ours = Prompt(length=LENGTH).adapt(tiny(family)).eval()
    shape = SHAPE.get(family, {}) | {"token_dim": ours.vectors.shape[1]}
    config = peft.PromptTuningConfig(task_type=TASK, num_virtual_tokens=LENGTH, **shape)
    theirs = peft.get_peft_model(tiny(family), config).eval()
    ours.vectors.copy_(theirs.prompt_encoder["default"].embedding.weight)
    expected = theirs(**sentences()).last_hidden_state[:, LENGTH:]
    torch.testing.assert_close(ours(**sentences()).last_hidden_state, expected)


@pytest.mark.parametrize("family", CONFIGS)
@torch.no_grad()
def test_a_prefix_gives_the_hidden_states_of_peft(family: str) -> None:
    """PEFT moves the text behind the prefix; it is moved back by explicit positions here."""
    config = peft.PrefixTuningConfig(
        task_type=TASK, num_virtual_tokens=LENGTH, **SHAPE.get(family, {})
    )
    theirs = peft.get_peft_model(tiny(family), config).eval()
    positions = torch.arange(7)[None] + FIRST_POSITION.get(family, 0)
    expected = _states_or_skip(theirs, family, positions - LENGTH)
    ours = Prefix(length=LENGTH).adapt(tiny(family)).eval()
    _copy_prefix(theirs.prompt_encoder["default"].embedding.weight, ours)
    torch.testing.assert_close(ours(**sentences()).last_hidden_state, expected)


def _states_or_skip(theirs: nn.Module, family: str, positions: Tensor) -> Tensor:
    try:
        states: Tensor = theirs(**sentences(), position_ids=positions).last_hidden_state
    except RuntimeError as error:
        pytest.skip(f"PEFT cannot run a prefix in {family}: {error}")
    if torch.equal(states, tiny(family)(**sentences()).last_hidden_state):
        pytest.skip(f"PEFT's prefix has no effect in {family}: the model drops past_key_values")
    return states


def _copy_prefix(weight: Tensor, ours: nn.Module) -> None:
    """PEFT keeps ``(positions, layers · (key, value) · heads · features)`` in one matrix."""
    prefixes = [module for module in ours.modules() if isinstance(module, LearnedPrefix)]
    heads, length, features = prefixes[0].keys.shape
    parts = weight.view(length, 2 * len(prefixes), heads, features).permute(1, 2, 0, 3)
    for prefix, (keys, values) in zip(prefixes, parts.split(2), strict=True):
        prefix.keys.copy_(keys)
        prefix.values.copy_(values)
