"""Parts found by structure in families that the contract battery does not run."""

from __future__ import annotations

import pytest
import torch
from transformers import AlbertConfig, BertConfig, FNetConfig, GPT2Config, GPTNeoXConfig

from bench.anatomy import (
    attention_output,
    blocks,
    feed_forward_output,
    freeze,
    positions,
    projections,
    shares_blocks,
    skeleton,
)
from strategies.adapter import Adapter
from strategies.lora import LoRA
from tests.helpers.tiny import CONFIGS, sentences, tiny


def test_layers_that_share_one_block_give_one_block() -> None:
    backbone = skeleton(AlbertConfig(hidden_size=64, num_attention_heads=4, intermediate_size=96))
    (block,) = blocks(backbone).values()
    assert shares_blocks(backbone)
    assert projections(block, "query") == ["attention.query"]
    assert attention_output(block, 64) == "attention.dense"
    assert feed_forward_output(block, 64) == "ffn_output"


@pytest.mark.parametrize(
    ("layers", "groups", "inner"),
    [(12, 1, 1), (2, 2, 1), (3, 1, 2), (2, 1, 2), (4, 2, 4), (4, 2, 2)],
)
def test_every_block_of_every_group_is_found_whatever_their_numbers(
    layers: int, groups: int, inner: int
) -> None:
    config = AlbertConfig(
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_hidden_groups=groups,
        inner_group_num=inner,
    )
    backbone = skeleton(config)
    found = blocks(backbone)
    assert len(found) == groups * inner
    assert shares_blocks(backbone) == (groups * inner < layers)
    for name, block in found.items():
        assert type(block).__name__ == "AlbertLayer"
        assert backbone.get_submodule(name) is block
    trained = [w for w in Adapter(bottleneck=5).adapt(backbone).parameters() if w.requires_grad]
    assert sum(weight.numel() for weight in trained) == groups * inner * (2 * 32 * 5 + 32 + 5)


def test_positions_that_padding_holds_are_not_counted_as_the_text_s() -> None:
    for family, most in (("bert", 128), ("albert", 128), ("mpnet", 126), ("roberta", 127)):
        config = CONFIGS[family]()
        assert positions(config) == most
        text = sentences(tokens=most)
        assert tiny(family)(**text).last_hidden_state.shape[1] == most
        with pytest.raises((IndexError, RuntimeError)):
            tiny(family)(**sentences(tokens=most + 1))


def test_a_model_that_computes_positions_sets_the_limit_of_its_configuration() -> None:
    assert positions(CONFIGS["qwen3"]()) == 128


def test_a_fused_projection_plays_every_role_and_is_named_once() -> None:
    backbone = skeleton(GPTNeoXConfig(hidden_size=64, num_attention_heads=4, num_hidden_layers=3))
    assert len(blocks(backbone)) == 3
    block = blocks(backbone)["layers.0"]
    assert projections(block, "query", "value") == ["attention.query_key_value"]


def test_models_without_attention_or_linear_layers_are_refused_with_their_family() -> None:
    for config in (FNetConfig(), GPT2Config()):
        for strategy in (LoRA(), Adapter()):
            reason = strategy.refuse(config)
            assert reason
            assert config.model_type in reason


def test_a_skeleton_has_no_weights_no_pooler_and_no_memory_of_its_last_use() -> None:
    first = skeleton(BertConfig())
    assert first.pooler is None
    assert {weight.device.type for weight in first.parameters()} == {"meta"}
    freeze(first)
    assert all(weight.requires_grad for weight in skeleton(BertConfig()).parameters())


def test_freezing_takes_every_parameter_out() -> None:
    backbone = tiny("bert")
    freeze(backbone)
    assert not any(weight.requires_grad for weight in backbone.parameters())
    assert torch.is_grad_enabled()
