"""The adapter's arithmetic by hand, and where it stands."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from strategies.adapter import Adapter, Bottleneck
from tests.helpers.tiny import LAYERS, sentences, tiny


def _bottleneck_with_numbers() -> Bottleneck:
    layer = Bottleneck(2, Adapter(bottleneck=2, activation="relu"), torch.zeros(1))
    values = {
        "down.weight": [[1.0, 0.0], [0.0, -1.0]],
        "down.bias": [0.0, 1.0],
        "up.weight": [[2.0, 0.0], [0.0, 3.0]],
        "up.bias": [0.5, 0.0],
    }
    layer.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    return layer


@torch.no_grad()
def test_a_two_by_two_bottleneck_by_hand() -> None:
    # (1, 2): down (1, -2 + 1) = (1, -1), relu (1, 0), up (2 + 0.5, 0), residual (3.5, 2)
    # (-1, -2): down (-1, 2 + 1) = (-1, 3), relu (0, 3), up (0.5, 9), residual (-0.5, 7)
    outputs = _bottleneck_with_numbers()(torch.tensor([[1.0, 2.0], [-1.0, -2.0]]))
    assert outputs.tolist() == [[3.5, 2.0], [-0.5, 7.0]]


@torch.no_grad()
def test_a_fresh_bottleneck_is_the_identity() -> None:
    inputs = torch.randn(3, 8)
    assert torch.equal(Bottleneck(8, Adapter(), inputs)(inputs), inputs)


@pytest.mark.parametrize(
    ("family", "attention", "feed_forward"),
    [
        ("bert", "encoder.layer.{}.attention.output.dense", "encoder.layer.{}.output.dense"),
        ("distilbert", "transformer.layer.{}.attention.out_lin", "transformer.layer.{}.ffn.lin2"),
        ("qwen3", "layers.{}.self_attn.o_proj", "layers.{}.mlp.down_proj"),
    ],
)
def test_adapters_stand_on_the_projections_before_the_residual(
    family: str, attention: str, feed_forward: str
) -> None:
    expected = {"pfeiffer": {feed_forward}, "houlsby": {attention, feed_forward}}
    for placement, names in expected.items():
        adapted = Adapter(placement=placement).adapt(tiny(family))
        found = {
            name for name, module in adapted.named_modules() if isinstance(module, nn.Sequential)
        }
        assert found == {name.format(layer) for name in names for layer in range(LAYERS)}


def test_only_the_last_post_hoc_adapter_learns() -> None:
    adapted = Adapter(placement="post_hoc", bottleneck=4).adapt(tiny("bert"))
    adapted(**sentences()).last_hidden_state[..., 0].square().sum().backward()
    with_gradient = {name for name, weight in adapted.named_parameters() if weight.grad is not None}
    assert len(with_gradient) == 6
    assert all(name.startswith(f"adapters.{LAYERS - 1}.") for name in with_gradient)
