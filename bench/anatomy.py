"""Find and replace the parts of a pretrained transformer, whatever its family.

Families differ in names, not in structure: a list of blocks, each with projections into attention,
one projection out of it and one out of the feed-forward layer. The helpers below find these parts
by structure where they can and by the few names in use where they must. To replace one, use
``backbone.set_submodule(name, new)``.

A backbone comes without pooler: it is trained on another task, no method here uses it, and it
would be counted. The loader sets ``backbone.pooler = None``, and so does ``skeleton``.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

Role: TypeAlias = Literal["query", "key", "value"]

_NAMES: dict[Role, frozenset[str]] = {
    "query": frozenset({"query", "q_proj", "q_lin", "query_proj", "q", "wq", "q_head"}),
    "key": frozenset({"key", "k_proj", "k_lin", "key_proj", "k", "wk", "k_head"}),
    "value": frozenset({"value", "v_proj", "v_lin", "value_proj", "v", "wv", "v_head"}),
}
_FUSED = frozenset({"Wqkv", "qkv_proj", "c_attn", "query_key_value", "qkv", "in_proj"})

_skeletons: dict[str, PreTrainedModel] = {}


def freeze(module: nn.Module) -> None:
    """Takes every parameter of ``module`` out of training."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)


def width(config: PretrainedConfig) -> int:
    """Features of a hidden state."""
    return int(config.hidden_size)


def blocks(backbone: PreTrainedModel) -> dict[str, nn.Module]:
    """The transformer blocks by dotted name, first layer first.

    They are the list of ``num_hidden_layers`` modules that hold attention. A family whose layers
    share blocks has a shorter list; its outermost one with attention is taken. Where each module
    of that list holds a list of blocks in turn, as groups of layers do, the blocks are those.

    Returns:
        Empty if there is no list of modules with attention.
    """
    lists = {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and _holds_attention(module[0])
    }
    layers = backbone.config.num_hidden_layers
    outer = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    for top in sorted(outer, key=lambda name: len(lists[name]) != layers)[:1]:
        grouped = [
            name
            for name, inner in lists.items()
            if name.startswith(f"{top}.") and all(map(_holds_attention, inner))
        ]
        return {
            f"{name}.{index}": block
            for name in grouped or [top]
            for index, block in enumerate(lists[name])
        }
    return {}


def shares_blocks(backbone: PreTrainedModel) -> bool:
    """Whether a block computes several layers, as ALBERT's do."""
    return len(blocks(backbone)) < int(backbone.config.num_hidden_layers)


def is_causal(config: PretrainedConfig) -> bool:
    """Whether each token attends to itself and to those before it alone, as in a decoder."""
    return any(getattr(module, "is_causal", False) for module in skeleton(config).modules())


def positions(config: PretrainedConfig) -> int | None:
    """Most tokens of a text; ``None`` where the model sets no limit.

    Families that number positions from behind that of padding have fewer than their table holds.
    """
    most = getattr(config, "max_position_embeddings", None)
    if not most:
        return None
    tables = (
        module
        for name, module in skeleton(config).named_modules()
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings")
    )
    reserved = [table.padding_idx + 1 for table in tables if table.padding_idx is not None]
    return int(most) - max(reserved, default=0)


def crowded(config: PretrainedConfig, tokens: int, taken: int) -> str | None:
    """Why a model has too few positions for a text behind others; ``None`` if it has enough.

    Args:
        config: of the model.
        tokens: of the longest text.
        taken: positions before the text.
    """
    most = positions(config) if taken else None
    if most is None or tokens + taken <= most:
        return None
    return (
        f"{taken} positions before a text of {tokens} tokens are {tokens + taken}, the model has"
        f" {most}; --max-length {most - taken} leaves room"
    )


def linears(block: nn.Module) -> dict[str, nn.Linear]:
    """Every linear layer of a block by dotted name, in the order of registration."""
    return {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}


def projections(block: nn.Module, *roles: Role) -> list[str]:
    """Names of the block's linear layers that make queries, keys or values.

    A layer that makes all three at once plays every role and is named once.
    """
    wanted = frozenset().union(_FUSED, *(_NAMES[role] for role in roles))
    return [name for name in linears(block) if name.rpartition(".")[2] in wanted]


def attention_output(block: nn.Module, width: int) -> str | None:
    """Name of the linear layer that leads out of attention: the last one there of ``width``."""
    return _last(block, width, in_attention=True)


def feed_forward_output(block: nn.Module, width: int) -> str | None:
    """Name of the block's last linear layer of ``width`` features outside attention."""
    return _last(block, width, in_attention=False)


def skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """The backbone's structure without weights, for questions that need none.

    Args:
        config: of the pretrained model; stays as it is.

    Returns:
        A copy of its own on torch's meta device, in float32 and without pooler.
    """
    key = config.to_json_string(use_diff=False)
    if key not in _skeletons:
        build: Any = AutoModel.from_config
        with torch.device("meta"):
            backbone = build(copy.deepcopy(config), dtype=torch.float32)
        backbone.pooler = None
        _skeletons[key] = backbone.eval()
    return copy.deepcopy(_skeletons[key])


def _last(block: nn.Module, width: int, *, in_attention: bool) -> str | None:
    found = [
        name
        for name, linear in linears(block).items()
        if linear.out_features == width and ("att" in name.lower()) == in_attention
    ]
    return found[-1] if found else None


def _holds_attention(module: nn.Module) -> bool:
    return any("att" in name.lower() for name, _ in module.named_modules())
