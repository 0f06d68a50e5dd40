"""Parts found by structure in families that the contract battery does not run."""

from __future__ import annotations

import torch
from transformers import AlbertConfig, BertConfig, FNetConfig, GPT2Config, GPTNeoXConfig

from bench.anatomy import (
    attention_output,
    blocks,
    feed_forward_output,
    freeze,
    projections,
    skeleton,
)
from strategies.adapter import Adapter
from strategies.lora import LoRA
from tests.tiny import tiny


def test_layers_that_share_one_block_give_one_block() -> None:
    backbone = skeleton(AlbertConfig(hidden_size=64, num_attention_heads=4, intermediate_size=96))
    (block,) = blocks(backbone).values()
    assert projections(block, "query") == ["albert_layers.0.attention.query"]
    assert attention_output(block, 64) == "albert_layers.0.attention.dense"
    assert feed_forward_output(block, 64) == "albert_layers.0.ffn_output"


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
