"""Prompt tuning: learned vectors in front of the word embeddings of a frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from bench.anatomy import freeze, skeleton
from bench.errors import TrialRefused
from bench.strategy import PeftAdapter, Strategy

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


class Prompted(nn.Module):
    """A backbone that reads ``length`` learned vectors before every text.

    The vectors are ``(length, embedding width)`` and stand where word embeddings stand: the model
    adds positions, types and normalisation to them as to words. They start as embeddings of words
    drawn evenly and without repetition from the vocabulary (Lester et al. 2021, section 3.2,
    where the draw is from the 5,000 most frequent; vocabularies are not sorted in general).
    """

    def __init__(self, backbone: PreTrainedModel, strategy: Prompt) -> None:
        super().__init__()
        self.backbone: PreTrainedModel = backbone
        self.double_embedding = strategy.double_embedding
        words = _word_embedding(backbone)
        with torch.no_grad():
            drawn = torch.randperm(words.num_embeddings)[: strategy.length]
            self.vectors = nn.Parameter(words(drawn.to(words.weight.device)).clone())

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        **inputs: Any,
    ) -> BaseModelOutput:
        """As the backbone's, on ``(sequences, tokens)``.

        The vectors' own positions are cut from the result, so that the first, the last and the
        mean state are still the text's. Text is expected to be padded on the right.
        """
        words = self._embed(input_ids, token_type_ids)
        length = self.vectors.shape[0]
        vectors = self.vectors.to(words.dtype).expand(len(words), -1, -1)
        ones = attention_mask.new_ones(len(words), length)
        if token_type_ids is not None:
            zeros = token_type_ids.new_zeros(len(words), length)
            inputs["token_type_ids"] = torch.cat([zeros, token_type_ids], dim=1)
        states = self.backbone(
            inputs_embeds=torch.cat([vectors, words], dim=1),
            attention_mask=torch.cat([ones, attention_mask], dim=1),
            **inputs,
        ).last_hidden_state
        return BaseModelOutput(last_hidden_state=states[:, length:])

    def _embed(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        if not self.double_embedding:
            embedded: Tensor = _word_embedding(self.backbone)(input_ids)
            return embedded
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        layer = _embedding_layer(self.backbone)
        assert layer is not None
        twice: Tensor = layer(input_ids=input_ids, **types)
        return twice


@dataclass(frozen=True, kw_only=True)
class Prompt(Strategy):
    """Input-level soft prompts; the backbone is frozen.

    Attributes:
        length: number of vectors. They and the text share the model's positions.
        double_embedding: the reference report's variant. The text passes the whole embedding layer
            (word, position, type, normalisation) and goes in as if it were word embeddings, so
            that everything but the word is applied to it twice; to the vectors once.
    """

    name: ClassVar[str] = "prompt"
    paper: ClassVar[str] = "https://arxiv.org/abs/2104.08691"

    length: int = 8
    double_embedding: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length >= 1 must hold, got {self.length}")

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes the backbone and wraps it."""
        reason = self._reason(backbone)
        if reason:
            raise TrialRefused(self.name, reason)
        freeze(backbone)
        return Prompted(backbone, self)

    def refuse(self, config: PretrainedConfig) -> str | None:
        """A vocabulary smaller than the prompt, or no embedding layer to apply twice."""
        return self._reason(skeleton(config))

    @property
    def positions_taken(self) -> int:
        """One for each vector."""
        return self.length

    def peft_adapter(self, backbone: nn.Module) -> PeftAdapter | str:
        """PEFT's prompt tuning, unless the text is embedded twice, which PEFT does not do."""
        if self.double_embedding:
            return "PEFT embeds the text once, double_embedding twice"
        assert isinstance(backbone, Prompted)
        model = backbone.backbone.config
        config = {
            "peft_type": "PROMPT_TUNING",
            "task_type": "FEATURE_EXTRACTION",
            "num_virtual_tokens": self.length,
            "token_dim": backbone.vectors.shape[1],
            "num_transformer_submodules": 1,
            "num_attention_heads": model.num_attention_heads,
            "num_layers": model.num_hidden_layers,
        }
        return PeftAdapter(
            config=config,
            tensors={"prompt_embeddings": backbone.vectors.detach()},
            leading_states=self.length,
            drops_types=True,
        )

    def _reason(self, backbone: PreTrainedModel) -> str | None:
        kind = backbone.config.model_type
        words = backbone.get_input_embeddings()
        if not isinstance(words, nn.Embedding):
            return f"the input embedding of a {kind} model is not a table of words"
        if self.length > words.num_embeddings:
            return f"{self.length} different words cannot be drawn from {words.num_embeddings}"
        return _why_not_twice(backbone) if self.double_embedding else None


def _word_embedding(backbone: PreTrainedModel) -> nn.Embedding:
    words = backbone.get_input_embeddings()
    assert isinstance(words, nn.Embedding)
    return words


def _why_not_twice(backbone: PreTrainedModel) -> str | None:
    kind = backbone.config.model_type
    layer = _embedding_layer(backbone)
    if layer is None:
        return f"a {kind} model has no embedding layer around its word embedding"
    if any(isinstance(module, nn.Linear) for module in layer.modules()):
        return f"the embedding layer of this {kind} model changes the width, so it cannot run twice"
    return None


def _embedding_layer(backbone: PreTrainedModel) -> nn.Module | None:
    """The direct child of the backbone that holds the word embedding, unless it is that itself."""
    words = backbone.get_input_embeddings()
    for child in backbone.children():
        if child is not words and any(module is words for module in child.modules()):
            return child
    return None
