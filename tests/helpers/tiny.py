"""Tiny random backbones of ten families: width 32, four heads, 128 words, seeded."""

from __future__ import annotations

import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    RobertaConfig,
)

WIDTH, HEADS, KEY_VALUE_HEADS, LAYERS, INNER, VOCABULARY = 32, 4, 2, 2, 48, 128
PAD = 0

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": INNER,
    "max_position_embeddings": 128,
    "pad_token_id": PAD,
}
_SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}


def _bert() -> PretrainedConfig:
    return BertConfig(**_COMMON)


def _roberta() -> PretrainedConfig:
    return RobertaConfig(**_COMMON, type_vocab_size=1)


def _distilbert() -> PretrainedConfig:
    return DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=WIDTH,
        n_heads=HEADS,
        n_layers=LAYERS,
        hidden_dim=INNER,
        max_position_embeddings=128,
        pad_token_id=PAD,
    )


def _electra() -> PretrainedConfig:
    return ElectraConfig(**_COMMON, embedding_size=16)


def _deberta() -> PretrainedConfig:
    return DebertaV2Config(
        **_COMMON,
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
        type_vocab_size=0,
    )


def _modernbert() -> PretrainedConfig:
    return ModernBertConfig(**_COMMON | {"num_hidden_layers": 3}, **_SPECIAL, local_attention=8)


def _qwen3() -> PretrainedConfig:
    return Qwen3Config(**_COMMON, num_key_value_heads=KEY_VALUE_HEADS, head_dim=16)


def _albert() -> PretrainedConfig:
    return AlbertConfig(**_COMMON, embedding_size=16)


def _mpnet() -> PretrainedConfig:
    return MPNetConfig(**_COMMON | {"pad_token_id": 1, "bos_token_id": 0})


def _llama() -> PretrainedConfig:
    return LlamaConfig(**_COMMON, num_key_value_heads=KEY_VALUE_HEADS)


CONFIGS = {
    "bert": _bert,
    "roberta": _roberta,
    "distilbert": _distilbert,
    "electra": _electra,
    "deberta-v2": _deberta,
    "modernbert": _modernbert,
    "albert": _albert,
    "mpnet": _mpnet,
    "qwen3": _qwen3,
    "llama": _llama,
}
"""A function per family, since a configuration is changed by the model that uses it."""


def tiny(family: str, seed: int = 0) -> PreTrainedModel:
    """A random backbone as the loader gives it: no pooler, no cache; in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = AutoModel.from_config(CONFIGS[family]())
    backbone.pooler = None
    backbone.config.use_cache = False
    return backbone.eval()


def sentences(rows: int = 2, tokens: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random words without padding: ``input_ids`` and ``attention_mask``."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(3, VOCABULARY, (rows, tokens), generator=generator)
    return {"input_ids": words, "attention_mask": torch.ones_like(words)}
