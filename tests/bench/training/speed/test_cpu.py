"""The kernels for CPUs: what torch's compute, and dropout that drops as often as it says."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from bench.training.speed.cpu import LANES, CpuKernels, kernels

SHAPE = (3, 4, 6, 8)
"""Sequences, heads, tokens, features."""

WIDE = (3, 4, LANES + 2, 8)

both_widths = pytest.mark.parametrize("shape", [SHAPE, WIDE], ids=["narrow", "wide"])
Shape = tuple[int, int, int, int]


def tensors(dtype: torch.dtype = torch.float64, shape: Shape = SHAPE) -> list[Tensor]:
    """Queries, keys and values."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for _ in range(3)
    ]


def boolean(tokens: int) -> Tensor:
    """Padding on the right: the last sequence has two tokens, the others all."""
    mask = torch.ones(3, 1, tokens, tokens, dtype=torch.bool)
    mask[2, ..., 2:] = False
    return mask


def additive(tokens: int) -> Tensor:
    return torch.randn(3, 1, tokens, tokens, generator=torch.Generator().manual_seed(1))


OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "none": lambda _: {},
    "boolean": lambda tokens: {"attn_mask": boolean(tokens)},
    "broadcast": lambda tokens: {"attn_mask": boolean(tokens)[:, :, :1]},
    "additive": lambda tokens: {"attn_mask": additive(tokens)},
    "causal": lambda _: {"is_causal": True},
    "scaled": lambda _: {"scale": 0.7},
    "huge": lambda tokens: {"attn_mask": 200 * additive(tokens)},
}


@both_widths
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_attention_and_its_gradients_are_those_of_torch(
    name: str, dtype: torch.dtype, tolerance: float, shape: Shape
) -> None:
    options = {
        key: value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
        for key, value in OPTIONS[name](shape[2]).items()
    }
    results = []
    for mode in (contextlib.nullcontext(), CpuKernels()):
        inputs = tensors(dtype, shape)
        with mode:
            out = F.scaled_dot_product_attention(*inputs, **options)
        out.square().sum().backward()
        results.append([out.detach(), *(tensor.grad for tensor in inputs)])
    for expected, found in zip(*results, strict=True):
        assert expected is not None
        assert found is not None
        apart = tolerance * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(found, expected, atol=apart, rtol=tolerance)


@both_widths
def test_the_gradient_of_attention_is_the_slope_also_under_dropout(shape: Shape) -> None:
    def attend(*inputs: Tensor) -> Tensor:
        with CpuKernels(3):  # draws the same each time
            return F.scaled_dot_product_attention(*inputs, dropout_p=0.5)

    inputs = [tensor.float().detach().requires_grad_() for tensor in tensors(shape=shape)]
    out = attend(*inputs)
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad((out * direction).sum(), inputs)
    for place, gradient in enumerate(gradients):
        step = torch.randn(shape, generator=torch.Generator().manual_seed(place)) * 1e-2
        moved = [tensor.detach() for tensor in inputs]
        ahead, behind = list(moved), list(moved)
        ahead[place], behind[place] = moved[place] + step, moved[place] - step
        slope = ((attend(*ahead) - attend(*behind)) * direction).sum() / 2
        torch.testing.assert_close(slope, (gradient * step).sum(), atol=1e-3, rtol=2e-2)


@both_widths
def test_a_token_that_may_look_at_nothing_gives_no_nan(shape: Shape) -> None:
    nothing = torch.zeros(3, 1, shape[2], shape[2], dtype=torch.bool)
    with CpuKernels():
        out = F.scaled_dot_product_attention(*tensors(torch.float32, shape), attn_mask=nothing)
    assert out.isfinite().all()


def test_more_queries_heads_than_key_heads_share_them() -> None:
    query, key, value = tensors(torch.float32)
    few = [tensor[:, :2] for tensor in (key, value)]
    expected = F.scaled_dot_product_attention(query, *few, enable_gqa=True)
    with CpuKernels():
        found = F.scaled_dot_product_attention(query, *few, enable_gqa=True)
    torch.testing.assert_close(found, expected)


def test_attention_computes_in_the_precision_of_autocast() -> None:
    query, key, value = tensors(torch.float32)
    with torch.autocast("cpu", torch.bfloat16), CpuKernels():
        assert F.scaled_dot_product_attention(query, key, value).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_drops_as_often_as_it_says_and_keeps_the_mean(dtype: torch.dtype, p: float) -> None:
    count = 400_003
    with CpuKernels(0):
        out = F.dropout(torch.ones(count, dtype=dtype), p)
    kept = out != 0
    assert abs(float(kept.float().mean()) - (1 - p)) < 5 * math.sqrt(p * (1 - p) / count)
    assert out[kept].unique().tolist() == [pytest.approx(1 / (1 - p), rel=4e-3)]
    neighbours = (kept[1:] & kept[:-1]).float().mean()
    assert float(neighbours) == pytest.approx((1 - p) ** 2, abs=5e-3)


def test_dropout_is_repeated_by_its_seed_and_not_by_the_next_call() -> None:
    ones, draws = torch.ones(1000), []
    for seed in (1, 1, 2):
        with CpuKernels(seed):
            draws.append((F.dropout(ones, 0.5), F.dropout(ones, 0.5)))
    (first, second), (again, _), (other, _) = draws
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_gradient_passes_where_the_number_did() -> None:
    inputs = torch.ones(64, requires_grad=True)
    with CpuKernels(0):
        out = F.dropout(inputs, 0.5)
    out.sum().backward()
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, out)


def test_without_training_nothing_is_dropped() -> None:
    ones = torch.ones(64)
    with CpuKernels():
        assert F.dropout(ones, 0.5, training=False) is ones
        assert torch.nn.Dropout(0.5).eval()(ones) is ones
        with pytest.raises(ValueError, match="a seed"):
            F.dropout(ones, 0.5)


def test_dropout_in_place_changes_its_input() -> None:
    ones = torch.ones(64)
    with CpuKernels(0):
        assert F.dropout(ones, 0.5, inplace=True) is ones
    assert (ones == 0).any()


def test_only_a_cpu_gets_these_kernels() -> None:
    assert isinstance(kernels(torch.device("cpu")), CpuKernels)
    assert not isinstance(kernels(torch.device("cuda")), CpuKernels)


def layer(**learns: bool) -> torch.nn.Linear:
    torch.manual_seed(0)
    made = torch.nn.Linear(48, 32)
    made.weight.requires_grad_(learns.get("weight", False))
    made.bias.requires_grad_(learns.get("bias", False))
    return made


def products(made: torch.nn.Linear, mode: CpuKernels | None) -> list[Tensor]:
    """What a layer gives under autocast, and the gradients of all that learns."""
    rows = torch.randn(5, 7, 48, generator=torch.Generator().manual_seed(1)).requires_grad_()
    made.zero_grad()
    with torch.autocast("cpu", torch.bfloat16), mode or contextlib.nullcontext():
        out = made(rows)
    out.float().square().sum().backward()
    learnt = [made.bias.grad] if made.bias.requires_grad else []
    return [out.detach(), rows.grad, *learnt]


@pytest.mark.parametrize("bias", [False, True])
def test_a_frozen_layer_and_its_gradients_are_those_of_torch(bias: bool) -> None:
    made = layer(bias=bias)
    for expected, got in zip(products(made, None), products(made, CpuKernels()), strict=True):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(
            got, expected, rtol=2e-2, atol=2e-2 * float(expected.abs().max())
        )


def test_a_layer_that_was_changed_is_seen_as_it_is_now() -> None:
    made, mode = layer(), CpuKernels()
    first = products(made, mode)
    with torch.no_grad():
        made.weight.mul_(2)
    again = products(made, mode)
    assert not torch.equal(first[0], again[0])
    assert torch.equal(again[0], products(made, CpuKernels())[0])


def test_a_layer_that_learns_is_left_to_torch() -> None:
    made = layer(weight=True, bias=True)
    products(made, CpuKernels())
    own = made.weight.grad.clone()
    products(made, None)
    assert torch.equal(made.weight.grad, own)


def test_a_weight_that_was_computed_is_not_kept() -> None:
    """It is another one at the next call, if perhaps at the same place."""
    rows, made, mode = torch.randn(7, 48), layer(), CpuKernels()
    expected = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for factor in (1, 2):
            expected.append(F.linear(rows, made.weight * factor))
            with mode:
                torch.testing.assert_close(F.linear(rows, made.weight * factor), expected[-1])


def read_by_two(mode: CpuKernels | None, change: bool = False) -> list[Tensor]:
    """What a frozen layer and one that learns give for the same states, and the gradients."""
    states = torch.randn(5, 7, 48, generator=torch.Generator().manual_seed(1)).requires_grad_()
    frozen, learns = layer(), layer(weight=True)
    with torch.autocast("cpu", torch.bfloat16), mode or contextlib.nullcontext():
        whole = states * 1
        first = frozen(whole)
        if change:
            whole.mul_(3)
        second = learns(whole.view(-1, 48))
    (first.float().square().sum() + second.float().square().sum()).backward()
    return [first.detach(), second.detach(), states.grad, learns.weight.grad]


@pytest.mark.parametrize("change", [False, True])
def test_layers_that_read_the_same_states_give_what_torch_gives(change: bool) -> None:
    for expected, got in zip(
        read_by_two(None, change), read_by_two(CpuKernels(), change), strict=True
    ):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(
            got, expected, rtol=2e-2, atol=2e-2 * float(expected.abs().max())
        )


class Casts(TorchDispatchMode):
    """Counts changes of type of tensors of one shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._to_copy.default and args[0].shape == self.shape
        return func(*args, **(kwargs or {}))


def test_states_are_rounded_once_for_all_layers_that_read_them() -> None:
    states = torch.randn(7, 48, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), CpuKernels(), Casts((7, 48)) as casts:
        layer(weight=True)(states)
        layer()(states.view(7, 48))
        assert casts.count == 1
        with torch.no_grad():
            assert not layer()(states).requires_grad
        layer()(states).float().sum().backward()
    assert states.grad is not None
