"""Trained parameters against closed forms and published figures; the scoring head is not counted.

The figures for BERT-base (12 layers, width 768, inner 3072, 12 heads) follow from the closed forms
beside them and need no weights.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import AlbertConfig, BertConfig, MPNetConfig, PretrainedConfig

from bench.anatomy import skeleton
from bench.strategy import Strategy
from strategies.adapter import Adapter
from strategies.bitfit import BitFit
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.helpers.tiny import (
    HEADS,
    INNER,
    KEY_VALUE_HEADS,
    LAYERS,
    VOCABULARY,
    WIDTH,
    sentences,
    tiny,
)

QWEN_HEAD = 16
NARROW = 16
"""Width of ALBERT's embeddings."""

BLOCK = 4 * (WIDTH**2 + WIDTH) + 2 * WIDTH * INNER + INNER + WIDTH + 2 * 2 * WIDTH
"""Attention, feed-forward layer and two layer norms."""

ALBERT = (VOCABULARY + 128 + 2 + 2) * NARROW + (NARROW + 1) * WIDTH + BLOCK
"""Words, positions, types and their norm; the map to the width; one block for all layers."""

MPNET = (VOCABULARY + 128 + 2) * WIDTH + LAYERS * BLOCK + 32 * HEADS
"""Words, positions and their norm; the blocks; a bias per bucket of distances and head."""


def _sizes(adapted: nn.Module) -> list[int]:
    return [weight.numel() for weight in adapted.parameters() if weight.requires_grad]


@pytest.mark.parametrize(
    ("strategy", "count"),
    [
        (Full(), 108_891_648),
        (Linear(), 0),
        (BitFit(), 102_144),  # L·(7d + f) + d
        (LoRA(rank=8), 294_912),  # L·2·r·(d + d), Hu et al. 2021
        (LoRA(rank=4), 147_456),
        (Adapter(bottleneck=48, placement="pfeiffer"), 894_528),  # L·(2db + d + b)
        (Adapter(bottleneck=48, placement="houlsby"), 1_789_056),  # twice that
        (Adapter(bottleneck=64, placement="post_hoc"), 12 * (2 * 768 * 64 + 768 + 64 + 2 * 768)),
        (Prefix(length=30), 552_960),  # L·2·P·d
        (Prompt(length=5), 3_840),  # P·d
    ],
    ids=repr,
)
def test_bert_base_trains_as_many_parameters_as_published(strategy: Strategy, count: int) -> None:
    config = BertConfig()
    assert strategy.refuse(config) is None
    assert sum(_sizes(strategy.adapt(skeleton(config)))) == count


def test_the_pooler_is_the_difference_to_the_published_size_of_bert_base() -> None:
    pooler = 768 * 768 + 768
    assert sum(_sizes(skeleton(BertConfig()))) + pooler == 109_482_240


@pytest.mark.parametrize(
    ("family", "strategy", "count"),
    [
        ("bert", BitFit(), LAYERS * (7 * WIDTH + INNER) + WIDTH),
        ("electra", BitFit(), LAYERS * (7 * WIDTH + INNER) + 16 + WIDTH),
        ("distilbert", LoRA(rank=3), LAYERS * 2 * 3 * (WIDTH + WIDTH)),
        ("bert", LoRA(rank=2, targets="attention"), LAYERS * 4 * 2 * (WIDTH + WIDTH)),
        (
            "bert",
            LoRA(rank=2, targets="all_linear"),
            LAYERS * 2 * (4 * (WIDTH + WIDTH) + 2 * (WIDTH + INNER)),
        ),
        ("modernbert", LoRA(rank=2), 3 * 2 * (WIDTH + 3 * WIDTH)),
        (
            "qwen3",
            LoRA(rank=2),
            LAYERS * 2 * (2 * WIDTH + (HEADS + KEY_VALUE_HEADS) * QWEN_HEAD),
        ),
        ("deberta-v2", Adapter(bottleneck=5), LAYERS * (2 * WIDTH * 5 + WIDTH + 5)),
        (
            "qwen3",
            Adapter(bottleneck=5, placement="houlsby"),
            2 * LAYERS * (2 * WIDTH * 5 + WIDTH + 5),
        ),
        ("albert", Full(), ALBERT),
        ("albert", BitFit(), 7 * WIDTH + INNER + NARROW + WIDTH),
        ("albert", LoRA(rank=3), 2 * 3 * (WIDTH + WIDTH)),
        ("albert", LoRA(rank=3, targets="attention"), 4 * 3 * (WIDTH + WIDTH)),
        (
            "albert",
            LoRA(rank=2, targets="all_linear"),
            2 * (4 * (WIDTH + WIDTH) + 2 * (WIDTH + INNER)),
        ),
        ("albert", Adapter(bottleneck=5), 2 * WIDTH * 5 + WIDTH + 5),
        ("albert", Adapter(bottleneck=5, placement="houlsby"), 2 * (2 * WIDTH * 5 + WIDTH + 5)),
        ("albert", Prompt(length=5), 5 * NARROW),
        ("albert", Prefix(length=5), 2 * 5 * WIDTH),
        ("mpnet", Full(), MPNET),
        ("mpnet", BitFit(), LAYERS * (7 * WIDTH + INNER) + WIDTH),
        ("mpnet", LoRA(rank=3), LAYERS * 2 * 3 * (WIDTH + WIDTH)),
        (
            "mpnet",
            LoRA(rank=2, targets="all_linear"),
            LAYERS * 2 * (4 * (WIDTH + WIDTH) + 2 * (WIDTH + INNER)),
        ),
        ("mpnet", Adapter(bottleneck=5), LAYERS * (2 * WIDTH * 5 + WIDTH + 5)),
        ("mpnet", Prompt(length=5), 5 * WIDTH),
        ("electra", Prompt(length=5), 5 * 16),
        ("llama", Prompt(length=5), 5 * WIDTH),
        ("electra", Prefix(length=5), LAYERS * 2 * 5 * WIDTH),
        ("qwen3", Prefix(length=5), LAYERS * 2 * 5 * KEY_VALUE_HEADS * QWEN_HEAD),
        ("llama", Prefix(length=5), LAYERS * 2 * 5 * KEY_VALUE_HEADS * (WIDTH // HEADS)),
    ],
    ids=repr,
)
def test_other_shapes_follow_the_closed_forms(family: str, strategy: Strategy, count: int) -> None:
    assert sum(_sizes(strategy.adapt(tiny(family)))) == count


def test_the_post_hoc_adapter_trains_six_tensors_per_layer() -> None:
    sizes = _sizes(Adapter(bottleneck=5, placement="post_hoc").adapt(tiny("roberta")))
    assert len(sizes) == 6 * LAYERS
    assert sum(sizes) == LAYERS * (2 * WIDTH * 5 + WIDTH + 5 + 2 * WIDTH)


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072), 11_683_584),
        (MPNetConfig(vocab_size=30527, max_position_embeddings=514), 109_486_464),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_two_more_base_models_have_their_published_sizes_but_for_the_pooler(
    config: PretrainedConfig, published: int
) -> None:
    assert sum(_sizes(skeleton(config))) + 768 * 768 + 768 == published


@pytest.mark.parametrize(
    "strategy",
    [LoRA(targets="all_linear", init="gaussian"), Adapter(placement="houlsby"), Prefix(), BitFit()],
    ids=repr,
)
@torch.no_grad()
def test_every_layer_of_a_shared_block_reads_the_same_learned_weights(strategy: Strategy) -> None:
    # One layer given its own output is the second layer.
    shared = strategy.adapt(tiny("albert")).eval()
    for weight in shared.parameters():
        if weight.requires_grad:
            weight.add_(torch.randn_like(weight) * 0.1)
    whole = shared(**sentences()).last_hidden_state
    encoder = cast(Any, shared).encoder
    states: list[Tensor] = []
    handle = encoder.albert_layer_groups[0].register_forward_hook(
        lambda _, given, result: states.extend((given[0], result))
    )
    shared(**sentences())
    handle.remove()
    first_in, first_out, second_in, second_out = states
    assert torch.equal(first_out, second_in)
    torch.testing.assert_close(encoder.albert_layer_groups[0](second_in, None), second_out)
    torch.testing.assert_close(second_out, whole)
    assert not torch.allclose(first_in, first_out)


def test_merged_lora_leaves_the_pretrained_structure() -> None:
    strategy = LoRA(targets="all_linear")
    deployed = strategy.deploy(strategy.adapt(tiny("qwen3")))
    assert {name: weight.shape for name, weight in deployed.state_dict().items()} == {
        name: weight.shape for name, weight in tiny("qwen3").state_dict().items()
    }
