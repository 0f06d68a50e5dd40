"""Wrap a backbone by PEFT, so that it can be called as before and gives the text's states."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from bench.anatomy import blocks, feed_forward_output, freeze, projections, width
from bench.strategy import PeftAdapter
from strategies.peft_methods import Targets

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

HARMLESS = (
    "`is_gradient_checkpointing` is deprecated",  # PEFT asks for what transformers has renamed
    "Unsupported layer type",  # said of the norms that LN tuning is for
    "Detected that the base layer has no bias term",  # BEFT adds one, which stays apart
    "Failed to load the CUDA extension",  # BOFT computes the same without
)
"""How warnings of PEFT begin that tell a person nothing."""

ADJUSTED = "Invalid `"
"""How PEFT's warnings begin by which it says that it takes another value than the one given."""

ONE_FACTOR = "Setting boft_n_butterfly_factor to 1"
"""What PEFT warns of, whatever the factor, where it could not build its CUDA extension."""

TABLE = "TRANSFORMERS_MODELS_TO_{}_TARGET_MODULES_MAPPING"
"""Name of PEFT's table of the modules that a method adapts, by family of models."""


class PeftPrompted(nn.Module):
    """A backbone with what PEFT has learned in front of every text.

    PEFT's own wrapper for features drops token types and returns the states of the prompt with
    those of the text. Here vectors in front of the words get token type 0, as in PEFT's wrapper
    for classification, and their states are cut off, so that the first, the last and the mean
    state are still the text's. Keys and values (prefix tuning) enter as PEFT has them do, as a
    cache of earlier tokens: the text's positions begin behind them. Text is expected to be padded
    on the right.

    Args:
        adapted: by a prompt-learning method.
    """

    def __init__(self, adapted: PeftModel) -> None:
        super().__init__()
        self.adapted = adapted

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        **inputs: Any,
    ) -> BaseModelOutput:
        """As the backbone's, on ``(sequences, tokens)``."""
        adapted: Any = self.adapted
        sequences, length = len(input_ids), adapted.active_peft_config.num_virtual_tokens
        ones = attention_mask.new_ones(sequences, length)
        inputs["attention_mask"] = torch.cat([ones, attention_mask], dim=1)
        learned = adapted.get_prompt(sequences)
        before_text = length if isinstance(learned, Tensor) else 0
        if before_text:
            words = adapted.word_embeddings(input_ids)
            inputs["inputs_embeds"] = torch.cat([learned.to(words.dtype), words], dim=1)
            if token_type_ids is not None:
                zeros = token_type_ids.new_zeros(sequences, length)
                token_type_ids = torch.cat([zeros, token_type_ids], dim=1)
        else:
            inputs["input_ids"], inputs["past_key_values"] = input_ids, learned
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        states = adapted.base_model(**inputs).last_hidden_state
        return BaseModelOutput(last_hidden_state=states[:, before_text:])

    def fold(self) -> None:
        """Keeps what the network behind the prompt gives instead of the network."""
        adapted: Any = self.adapted
        encoder = adapted.prompt_encoder[adapted.active_adapter]
        helpers = [name for name, _ in encoder.named_children() if name != "embedding"]
        if not helpers:
            return
        device = encoder.embedding.weight.device
        learned = adapted.get_prompt_embedding_to_save(adapted.active_adapter).to(device)
        encoder.embedding = nn.Embedding.from_pretrained(learned, freeze=True)
        for name in helpers:
            delattr(encoder, name)
        adapted.active_peft_config.inference_mode = True


def wrap(backbone: PreTrainedModel, config: PeftConfig, targets: Targets) -> nn.Module:
    """Adapts a backbone in place.

    Args:
        backbone: every parameter trainable.
        config: of the method; what depends on the model is filled in.
        targets: what is adapted where PEFT has no table entry for the model.

    Raises:
        ValueError: PEFT would take another value than the one given, or something of the model is
            missing; and whatever PEFT raises.
    """
    from peft import get_peft_model

    prompting = bool(config.is_prompt_learning)
    (_give_shape if prompting else _aim)(backbone, config, targets)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        if prompting:
            freeze(backbone)
        adapted = get_peft_model(backbone, config)
    for warning in heard:
        text = str(warning.message)
        if text.startswith(ONE_FACTOR):
            _check_factor(config)
        elif text.startswith(ADJUSTED):
            raise ValueError(text)
        elif not text.startswith(HARMLESS):
            warnings.warn_explicit(text, warning.category, warning.filename, warning.lineno)
    return PeftPrompted(adapted) if prompting else adapted


def _check_factor(config: Any) -> None:
    """Raises where BOFT's factor was not 1 and has been set to 1."""
    if config.boft_n_butterfly_factor != 1:
        raise ValueError(
            "boft_n_butterfly_factor above 1 needs PEFT's CUDA extension, which cannot be built"
            " here; is ninja installed?"
        )


def merged(adapted: nn.Module) -> nn.Module:
    """The plain model with what was learned in its weights, if PEFT can do that.

    Weights are merged in float32: rounding the sum to a bfloat16 weight would lose most of a small
    change.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in adapted.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.get_base_layer().float()
    unload: Any = getattr(adapted, "merge_and_unload", None)
    try:
        plain: nn.Module = unload() if unload else adapted
    except (NotImplementedError, ValueError):  # what has been merged by then computes the same
        return adapted
    return plain


def through_cache(config: PeftConfig) -> bool:
    """Whether a method learns keys and values, which PEFT hands to a model as earlier tokens'.

    The other prompts put states before the text.
    """
    kind: Any = config.peft_type
    return bool(kind.value == "PREFIX_TUNING")


def saved(adapted: nn.Module) -> PeftAdapter:
    """What PEFT would save of a model that it has wrapped, and how what it loads is called."""
    from peft.utils import get_peft_model_state_dict

    prompted = isinstance(adapted, PeftPrompted)
    model: Any = adapted.adapted if isinstance(adapted, PeftPrompted) else adapted
    config = model.active_peft_config
    told = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in config.to_dict().items()
    }
    before_text = prompted and not through_cache(config)
    return PeftAdapter(
        config=told,
        tensors=get_peft_model_state_dict(model, save_embedding_layers=False),
        leading_states=config.num_virtual_tokens if before_text else 0,
        drops_types=prompted,
    )


def _give_shape(backbone: PreTrainedModel, config: Any, _: Targets) -> None:
    """Fills in what PEFT finds in the configurations of some families only."""
    model = backbone.config
    if (
        through_cache(config)
        and "past_key_values" not in inspect.signature(backbone.forward).parameters
    ):
        raise ValueError(
            f"{type(backbone).__name__} does not support past key values, which are required for"
            " prefix tuning"
        )
    words: Any = backbone.get_input_embeddings()
    config.num_layers = model.num_hidden_layers
    config.num_attention_heads = model.num_attention_heads
    config.token_dim = width(model) if through_cache(config) else words.weight.shape[1]


def _aim(backbone: PreTrainedModel, config: Any, targets: Targets) -> None:
    """Names the modules to adapt where PEFT's table does not know the family."""
    from peft.utils import constants

    table = TABLE.format(config.peft_type.value.replace("_", ""))
    kind, known = backbone.config.model_type, getattr(constants, table, None)
    if known is None or kind in known or config.target_modules is not None:
        return
    names, last = _targets(backbone, targets)
    if not names:
        raise ValueError(f"the blocks of a {kind} model hold no layers for {targets}")
    config.target_modules = [*names, *last]
    if last:
        config.feedforward_modules = last


def _targets(backbone: PreTrainedModel, targets: Targets) -> tuple[list[str], list[str]]:
    """Names of the modules to adapt, those at the end of feed-forward layers apart."""
    if targets == "norms":
        modules = backbone.named_modules()
        return [name for name, module in modules if type(module).__name__.endswith("Norm")], []
    names: list[str] = []
    last: list[str] = []
    for prefix, block in blocks(backbone).items():
        if targets == "query_value":
            names += [f"{prefix}.{name}" for name in projections(block, "query", "value")]
            continue
        names += [f"{prefix}.{name}" for name in projections(block, "key", "value")]
        end = feed_forward_output(block, width(backbone.config))
        last += [f"{prefix}.{end}"] if end else []
    return names, last
