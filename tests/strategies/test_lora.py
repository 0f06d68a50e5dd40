"""LoRA's arithmetic: what is merged, in which precision, and what the start is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.lora import LoRA, LowRankLinear
from tests.helpers.tiny import sentences, tiny


def _layer(strategy: LoRA, dtype: torch.dtype = torch.float32) -> LowRankLinear:
    layer = LowRankLinear(nn.Linear(16, 24).to(dtype), strategy)
    nn.init.normal_(layer.up, std=0.01)
    return layer


@torch.no_grad()
def test_a_two_by_two_change_by_hand() -> None:
    layer = LowRankLinear(nn.Linear(2, 2), LoRA(rank=1, alpha_ratio=4.0))
    layer.frozen.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    layer.frozen.bias.copy_(torch.tensor([0.0, 10.0]))
    layer.down.copy_(torch.tensor([[1.0, 2.0]]))
    layer.up.copy_(torch.tensor([[0.5], [-1.0]]))
    # W x + b = (3, 14); A x = 11; B A x = (5.5, -11); times 4 = (22, -44)
    assert layer(torch.tensor([3.0, 4.0])).tolist() == [25.0, -30.0]
    assert layer.weight.tolist() == [[3.0, 4.0], [-4.0, -7.0]]


@pytest.mark.parametrize("rank", [1, 5, 16, 17])
def test_a_rank_that_fills_no_lanes_changes_and_learns_by_the_formula(rank: int) -> None:
    layer = _layer(LoRA(rank=rank, alpha_ratio=3.0)).double()
    layer.frozen.requires_grad_(False)
    inputs = torch.randn(7, 16, dtype=torch.float64, requires_grad=True)
    learnt = [layer.up, layer.down, inputs]
    outputs = layer(inputs)
    expected = layer.frozen(inputs) + 3.0 * inputs @ layer.down.t() @ layer.up.t()
    torch.testing.assert_close(outputs, expected)
    slopes = [torch.autograd.grad(out.square().sum(), learnt) for out in (outputs, expected)]
    assert [slope.shape for slope in slopes[0]] == [(24, rank), (rank, 16), (7, 16)]
    torch.testing.assert_close(*slopes)


@torch.no_grad()
def test_merging_into_half_precision_keeps_the_whole_change() -> None:
    layer = _layer(LoRA(rank=2), torch.bfloat16)
    exact = layer.frozen.weight.double() + 2.0 * (layer.up.double() @ layer.down.double())
    merged = layer.merged()
    assert merged.weight.dtype == torch.float32
    assert not merged.weight.requires_grad
    torch.testing.assert_close(merged.weight.double(), exact, atol=1e-7, rtol=0)


def test_the_weight_that_a_model_may_read_itself_carries_gradients() -> None:
    layer = _layer(LoRA(rank=2))
    layer.frozen.weight.requires_grad_(False)
    layer.weight.square().sum().backward()
    assert layer.up.grad is not None
    assert layer.down.grad is not None


@torch.no_grad()
def test_dropout_spares_the_frozen_path() -> None:
    layer = _layer(LoRA(dropout=0.5))
    inputs = torch.randn(1, 16)
    outputs = torch.cat([layer(inputs) for _ in range(8)])
    assert outputs.std(dim=0).max() > 0
    layer.up.zero_()
    assert torch.equal(layer(inputs), layer.frozen(inputs))


@torch.no_grad()
def test_a_gaussian_start_is_not_the_pretrained_model() -> None:
    plain = tiny("bert")(**sentences()).last_hidden_state
    adapted = LoRA(init="gaussian").adapt(tiny("bert")).eval()
    assert not torch.allclose(adapted(**sentences()).last_hidden_state, plain)


@pytest.mark.parametrize(
    ("knobs", "rule"),
    [
        ({"rank": 0}, "rank >= 1"),
        ({"alpha_ratio": 0.0}, "alpha_ratio > 0"),
        ({"dropout": 1.0}, "0 <= dropout < 1"),
        ({"targets": "query"}, "targets must be one of"),
        ({"init": "ones"}, "init must be one of"),
    ],
)
def test_a_value_outside_its_rule_is_told_at_once(knobs: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        LoRA(**knobs)
