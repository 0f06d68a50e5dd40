"""Prefix tuning: learned keys and values in front of those of the text, in every layer.

They enter through transformers' attention interface. Importing this module registers one attention
function there, in every process that uses or unpickles an adapted model; it prepends what the
attention module at hand has learned, if anything, and calls scaled dot-product attention, whatever
implementation the model used before.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from bench.anatomy import freeze, skeleton
from bench.errors import TrialRefused
from bench.strategy import PeftAdapter, Strategy

if TYPE_CHECKING:
    from transformers import PretrainedConfig

INTERFACE = "paretune_prefix"
ATTRIBUTE = "learned_prefix"
DEVIATION = 0.02


class LearnedPrefix(nn.Module):
    """Keys and values of one layer, the same for all sequences.

    Args:
        key_shape: heads, positions and features of the keys.
        value_shape: the same of the values.
        device: of the parameters.
    """

    def __init__(
        self, key_shape: Sequence[int], value_shape: Sequence[int], device: torch.device
    ) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.randn(*key_shape, device=device) * DEVIATION)
        self.values = nn.Parameter(torch.randn(*value_shape, device=device) * DEVIATION)

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``(sequences, heads, tokens, features)`` with ours in front."""
        keys = self.keys.to(key.dtype).expand(len(key), -1, -1, -1)
        values = self.values.to(value.dtype).expand(len(value), -1, -1, -1)
        return torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)


class Observer:
    """Notes the shapes of the keys and values that pass an attention module."""

    seen: tuple[torch.Size, torch.Size] | None = None

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Leaves both as they are."""
        self.seen = (key.shape, value.shape)
        return key, value


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention over the module's prefix, if it has one, and the text.

    Args:
        module: the attention module.
        query: ``(sequences, heads, tokens, features)``.
        key: ``(sequences, key and value heads, tokens, features)``.
        value: as ``key``.
        attention_mask: ``(sequences, 1 or heads, tokens, tokens)``, boolean (true: look) or
            additive; ``None`` if every token may look at all, or, in a causal module, at all
            before it.
        options: of ``sdpa_attention_forward``.
    """
    extension: LearnedPrefix | Observer | None = getattr(module, ATTRIBUTE, None)
    if extension is not None:
        tokens = key.shape[2]
        key, value = extension.extend(key, value)
        added = key.shape[2] - tokens
        attention_mask = _widen(_explicit(module, query, tokens, attention_mask, options), added)
        options["is_causal"] = False
        if options.get("position_bias") is not None:
            options["position_bias"] = F.pad(options["position_bias"], (added, 0))
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


AttentionInterface.register(INTERFACE, attend)
AttentionMaskInterface.register(INTERFACE, sdpa_mask)


@dataclass(frozen=True, kw_only=True)
class Prefix(Strategy):
    """Learned keys and values per layer, without re-parameterisation.

    Li and Liang 2021, section 4, in the direct form of P-tuning v2
    (https://arxiv.org/abs/2110.07602, section 3.3). The prefix has no position: rotary and learned
    positions of the text stay what they are without it (PEFT moves the text behind the prefix), and
    every token sees the whole prefix, also where its attention is otherwise local or causal. Starts
    as small noise (deviation 0.02).

    Attributes:
        length: prefix positions per layer.
    """

    name: ClassVar[str] = "prefix"
    paper: ClassVar[str] = "https://arxiv.org/abs/2101.00190"

    length: int = 8

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length >= 1 must hold, got {self.length}")

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes the backbone and gives each of its attention modules a prefix."""
        reason = self.refuse(backbone.config)
        if reason:
            raise TrialRefused(self.name, reason)
        freeze(backbone)
        device = next(backbone.parameters()).device
        for name, shapes in _sites(backbone.config).items():
            keys, values = ((heads, self.length, size) for _, heads, _, size in shapes)
            prefix = LearnedPrefix(keys, values, device)
            setattr(backbone.get_submodule(name), ATTRIBUTE, prefix)
        _use_interface(backbone)
        return backbone

    def refuse(self, config: PretrainedConfig) -> str | None:
        """A model whose attention does not pass transformers' interface."""
        model = type(skeleton(config))
        if not (model._supports_attention_backend and model._supports_sdpa):
            return f"{model.__name__} does not attend by scaled dot-product through the interface"
        try:
            sites = _sites(config)
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            return f"where a prefix enters {model.__name__} cannot be seen without weights: {error}"
        return None if sites else f"{model.__name__} has no attention that a prefix could enter"

    def peft_adapter(self, backbone: nn.Module) -> PeftAdapter | str:
        """PEFT's prefix tuning, which is told that the text stands where it stood.

        PEFT keeps ``(positions, layers · (key, value) · heads · features)`` in one matrix and hands
        it to the model as its past.
        """
        assert isinstance(backbone, PreTrainedModel)
        kind = type(backbone).__name__
        if "past_key_values" not in inspect.signature(backbone.forward).parameters:
            return f"PEFT hands a prefix over as past keys and values, which {kind} does not take"
        prefixes = [module for module in backbone.modules() if isinstance(module, LearnedPrefix)]
        pairs = [tensor for each in prefixes for tensor in (each.keys, each.values)]
        if len({pair.shape for pair in pairs}) > 1:
            return f"PEFT gives all keys and values one shape, {kind} has several"
        heads, length, features = pairs[0].shape
        matrix = torch.stack([pair.detach() for pair in pairs]).permute(2, 0, 1, 3)
        config = {
            "peft_type": "PREFIX_TUNING",
            "task_type": "FEATURE_EXTRACTION",
            "num_virtual_tokens": length,
            "token_dim": heads * features,
            "num_transformer_submodules": 1,
            "num_attention_heads": heads,
            "num_layers": len(prefixes),
        }
        return PeftAdapter(
            config=config,
            tensors={"prompt_embeddings": matrix.reshape(length, -1)},
            drops_types=True,
            first_position=_first_position(backbone) - length,
        )


def _sites(config: PretrainedConfig) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Shapes of keys and values by attention module, seen in a run without weights."""
    backbone = skeleton(config)
    _use_interface(backbone)
    for module in backbone.modules():
        setattr(module, ATTRIBUTE, Observer())
    words = torch.zeros(1, 2, dtype=torch.long, device="meta")
    # A ready mask, since building one looks at values, which tensors without weights do not have.
    backbone(input_ids=words, attention_mask=torch.ones(1, 1, 2, 2, device="meta").bool())
    return {
        name: module.learned_prefix.seen
        for name, module in backbone.named_modules()
        if module.learned_prefix.seen is not None
    }


def _first_position(backbone: PreTrainedModel) -> int:
    """Position of a text's first token: some families count from behind that of the padding."""
    tables = (m for m in backbone.modules() if isinstance(m, nn.Embedding))
    words = backbone.get_input_embeddings()
    padded = (m.padding_idx for m in tables if m is not words and m.padding_idx is not None)
    return next((padding + 1 for padding in padded), 0)


def _use_interface(backbone: PreTrainedModel) -> None:
    """Lets the model attend through ``attend``, by a configuration of its own."""
    shared = backbone.config
    own = copy.deepcopy(shared)
    own._attn_implementation = INTERFACE
    for module in backbone.modules():
        if getattr(module, "config", None) is shared:
            module.config = own  # type: ignore[assignment]


def _explicit(
    module: nn.Module, query: Tensor, tokens: int, mask: Tensor | None, options: dict[str, Any]
) -> Tensor | None:
    """The mask, spelled out where ``None`` means causal: a prefix shifts what that refers to."""
    causal = options.get("is_causal")
    if causal is None:
        causal = getattr(module, "is_causal", True)
    if mask is not None or not causal:
        return mask
    queries = query.shape[2]
    square = torch.ones(queries, tokens, dtype=torch.bool, device=query.device)
    return square.tril(tokens - queries)[None, None]


def _widen(mask: Tensor | None, added: int) -> Tensor | None:
    """Lets every token look at ``added`` positions in front."""
    if mask is None:
        return None
    return F.pad(mask, (added, 0), value=True if mask.dtype == torch.bool else 0.0)
