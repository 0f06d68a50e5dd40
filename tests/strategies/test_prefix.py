"""What is special to prefix tuning: the attention interface, masks and configurations."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, Gemma2Config, MPNetConfig, OPTConfig, PretrainedConfig

from strategies.prefix import INTERFACE, LearnedPrefix, Prefix, attend
from tests.helpers.tiny import WIDTH, sentences, tiny

HEADS, TOKENS, FEATURES, LENGTH = 4, 5, 8, 3


class AttentionModule(nn.Module):
    """The attributes by which an attention module steers its attention function."""

    def __init__(self, *, is_causal: bool, groups: int = 1) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.num_key_value_groups = groups
        shape = (HEADS // groups, LENGTH, FEATURES)
        self.learned_prefix = LearnedPrefix(shape, shape, torch.device("cpu"))
        for weight in self.parameters():
            nn.init.normal_(weight)


def _by_hand(module: AttentionModule, inputs: list[Tensor], visible: Tensor) -> Tensor:
    """Softmax over prefix and text, written out; ``visible`` is ``(tokens, tokens)``."""
    query, key, value = inputs
    groups = module.num_key_value_groups
    sequences = len(query)
    keys = module.learned_prefix.keys.expand(sequences, -1, -1, -1)
    values = module.learned_prefix.values.expand(sequences, -1, -1, -1)
    key = torch.cat([keys, key], dim=2).repeat_interleave(groups, dim=1)
    value = torch.cat([values, value], dim=2).repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(2, 3) / FEATURES**0.5
    seen = torch.cat([torch.ones(TOKENS, LENGTH, dtype=torch.bool), visible], dim=1)
    weights = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1)
    return (weights @ value).transpose(1, 2)


ALL = torch.ones(TOKENS, TOKENS, dtype=torch.bool)
LOCAL = ALL.tril(1).triu(-1)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("is_causal", "mask", "visible"),
    [
        (False, None, ALL),
        (True, None, ALL.tril()),
        (True, ALL.tril()[None, None], ALL.tril()),
        (False, LOCAL[None, None], LOCAL),
        (False, torch.zeros(TOKENS, TOKENS).masked_fill(~LOCAL, -1e30)[None, None], LOCAL),
    ],
    ids=["everything", "causal by flag", "causal by mask", "local", "additive"],
)
@torch.no_grad()
def test_every_mask_is_widened_so_that_the_prefix_is_seen(
    is_causal: bool, mask: Tensor | None, visible: Tensor, groups: int
) -> None:
    module = AttentionModule(is_causal=is_causal, groups=groups)
    text = (2, HEADS // groups, TOKENS, FEATURES)
    inputs = [torch.randn(2, HEADS, TOKENS, FEATURES), torch.randn(text), torch.randn(text)]
    output, _ = attend(module, *inputs, attention_mask=mask)
    torch.testing.assert_close(output, _by_hand(module, inputs, visible))


@torch.no_grad()
def test_a_position_bias_does_not_reach_the_prefix() -> None:
    module = AttentionModule(is_causal=False)
    inputs = [torch.randn(2, HEADS, TOKENS, FEATURES) for _ in range(3)]
    flat = torch.zeros(1, HEADS, TOKENS, TOKENS)
    biased, _ = attend(module, *inputs, attention_mask=None, position_bias=flat)
    torch.testing.assert_close(biased, _by_hand(module, inputs, ALL))


@torch.no_grad()
def test_a_module_without_prefix_attends_as_before() -> None:
    plain = tiny("qwen3")
    states = plain(**sentences()).last_hidden_state
    plain.config._attn_implementation = INTERFACE
    assert torch.equal(plain(**sentences()).last_hidden_state, states)


def test_a_configuration_shared_with_another_model_stays_as_it_is() -> None:
    config = BertConfig(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4)
    first, second = (type(tiny("bert"))(config, add_pooling_layer=False) for _ in range(2))
    before = config._attn_implementation
    adapted = Prefix().adapt(first)
    assert first.config._attn_implementation == INTERFACE
    assert {config._attn_implementation, second.config._attn_implementation} == {before}
    assert adapted is first


@pytest.mark.parametrize(
    "config", [OPTConfig(), Gemma2Config(), MPNetConfig()], ids=lambda config: config.model_type
)
def test_a_model_whose_attention_cannot_take_a_prefix_is_refused(config: PretrainedConfig) -> None:
    reason = Prefix().refuse(config)
    assert reason
    assert "Model" in reason


def test_a_process_that_only_unpickles_the_model_can_run_it(tmp_path: Path) -> None:
    adapted = Prefix(length=3).adapt(tiny("bert")).eval()
    batch = sentences()
    with torch.no_grad():
        expected = adapted(**batch).last_hidden_state
    (tmp_path / "model.pickle").write_bytes(pickle.dumps((adapted, batch, expected)))
    script = (
        "import pathlib, pickle, sys, torch\n"
        "model, batch, expected = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "with torch.no_grad(): found = model(**batch).last_hidden_state\n"
        "assert torch.allclose(found, expected, atol=1e-6)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "model.pickle")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
