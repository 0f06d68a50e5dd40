"""The whole model in transformers' own form, where a strategy leaves the pretrained structure."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForMultipleChoice, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from bench.export.form import Form
from bench.export.head import head_use, read_use, with_head, write_head
from bench.export.manifest import HEAD_USE, Manifest
from bench.export.scores import logits_of
from bench.export.trained import Trained
from bench.model import MultipleChoiceModel
from bench.source import ModelSource

CLOSE = 1e-4
"""Most that two logits of one question may differ to count as the same computation, on top of the
same share of their size."""


class Merged(Form):
    """See the module."""

    name: ClassVar[str] = "merged"
    template: ClassVar[str] = "merged.py.j2"

    def refusal(self, trained: Trained) -> str | None:
        """A strategy that puts something beside the pretrained layers."""
        deployed = trained.spec.strategy.deploy(trained.model().backbone.eval())
        plain = trained.workbench.backbone
        if type(deployed) is not type(plain):
            return f"it answers by a {type(deployed).__name__}, no plain {type(plain).__name__}"
        own, known = _shapes(deployed), _shapes(plain)
        apart = sorted(
            name for name in own.keys() | known.keys() if own.get(name) != known.get(name)
        )
        if apart:
            return f"it leaves {len(apart)} tensors beside the pretrained ones, such as {apart[0]}"
        return None

    def write(self, trained: Trained, folder: Path) -> list[str]:
        """Saves model and tokenizer by ``save_pretrained``.

        The head goes into the model where transformers has a class for it that computes the same,
        else beside it.
        """
        # A new one: the other has been told where to cut, and would store that.
        trained.source.tokenizer().save_pretrained(folder)
        model = trained.model()
        backbone = trained.spec.strategy.deploy(model.backbone.eval())
        assert isinstance(backbone, PreTrainedModel)
        whole = _as_multiple_choice(trained, backbone, model.head)
        if not isinstance(whole, str):
            whole.save_pretrained(folder)
            return [f"The scoring head is part of it: `{type(whole).__name__}` computes the same."]
        backbone.config = _as_pretrained(trained)
        backbone.save_pretrained(folder)
        use = head_use(backbone.config.hidden_size, trained.spec.settings)
        write_head(folder, model.head, use)
        return [f"The scoring head lies beside it: {whole}."]

    def base(self, folder: Path, manifest: Manifest, instead: str | None = None) -> ModelSource:
        """The export itself, which is a model folder."""
        return ModelSource(
            name=folder.name, address=str(folder), folder=folder, fingerprint=manifest.fingerprint
        )

    def load(self, folder: Path, manifest: Manifest, base: ModelSource) -> nn.Module:
        """Loads it as transformers does."""
        if (folder / HEAD_USE).is_file():
            return with_head(base.backbone(), folder, read_use(folder))
        model = AutoModelForMultipleChoice.from_pretrained(folder, dtype=torch.float32)
        return _by_sequence(model)


class OneChoice(nn.Module):
    """Scores sequences one by one by a model for multiple choice.

    The logit of a sequence is given as a state of width 1, which a head has nothing to add to.
    """

    def __init__(self, scorer: nn.Module) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, **inputs: torch.Tensor) -> BaseModelOutput:
        """``(sequences, tokens)`` each; gives states ``(sequences, 1, 1)``."""
        apart = {name: tensor.unsqueeze(1) for name, tensor in inputs.items()}
        return BaseModelOutput(last_hidden_state=self.scorer(**apart).logits.unsqueeze(1))


def _by_sequence(scorer: nn.Module) -> MultipleChoiceModel:
    model = MultipleChoiceModel(OneChoice(scorer), width=1, pooling="cls", dropout=0.0)
    nn.init.ones_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    return model.eval()


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _as_pretrained(trained: Trained) -> Any:
    """The pretrained model's configuration, as its maker wrote it but for the type of numbers."""
    config: Any = trained.source.config()
    config.dtype = torch.float32
    return config


def _as_multiple_choice(
    trained: Trained, backbone: PreTrainedModel, head: nn.Linear
) -> PreTrainedModel | str:
    """A model for multiple choice of transformers that computes the same, or why there is none."""
    config = _as_pretrained(trained)
    kind: Any = AutoModelForMultipleChoice._model_mapping.get(type(config), None)
    if kind is None:
        return f"transformers has no multiple-choice class for {config.model_type} models"
    if trained.spec.settings.pooling != "cls":
        return f"`{kind.__name__}` reads the first token, this head does not"
    if hasattr(config, "summary_use_proj"):  # a summary that can be told to be the first state
        config.summary_type, config.summary_use_proj = "first", False
        config.summary_activation = "linear"
        config.summary_last_dropout = trained.spec.settings.head_dropout
    built: PreTrainedModel = kind(copy.deepcopy(config)).eval()
    tensors = {
        f"{built.base_model_prefix}.{name}": tensor
        for name, tensor in backbone.state_dict().items()
    }
    tensors |= {f"classifier.{name}": tensor for name, tensor in head.state_dict().items()}
    drawn = sorted(built.state_dict().keys() - tensors.keys())
    if drawn:
        return f"`{kind.__name__}` reads {_layers(drawn)} too, which was not trained here"
    try:
        built.load_state_dict(tensors)
    except RuntimeError:
        return f"`{kind.__name__}` has other layers"
    given = logits_of(_by_sequence(built), trained.sample, trained.device)
    same = np.allclose(given, trained.logits, rtol=CLOSE, atol=CLOSE)
    return built if same else f"`{kind.__name__}` computes something else from them"


def _layers(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(f"`{name.rpartition('.')[0]}`" for name in names))
