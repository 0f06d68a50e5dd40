"""The whole model in transformers' own form, where a strategy leaves the pretrained structure."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from bench.export.forms.base import Form
from bench.export.head import head_use, read_use, with_head, write_head
from bench.export.logits import logits_of
from bench.export.manifest import HEAD_USE, Manifest
from bench.export.trained import Trained, task_told
from bench.pretrained.source import ModelSource
from bench.task import AnyTask
from bench.training.model import TaskModel

CLOSE = 1e-4
"""Most that two logits of one example may differ to count as the same computation, on top of the
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
        whole = _with_own_head(trained, backbone, model.head)
        if not isinstance(whole, str):
            whole.save_pretrained(folder)
            return [f"The scoring head is part of it: `{type(whole).__name__}` computes the same."]
        backbone.config = _as_pretrained(trained)
        backbone.save_pretrained(folder)
        use = head_use(backbone.config.hidden_size, trained.spec.settings)
        write_head(folder, model.head, use)
        return [f"The scoring head lies beside it: {whole}."]

    def base(
        self, folder: Path, manifest: Manifest, pretrained: Callable[[], ModelSource]
    ) -> ModelSource:
        """The export itself, which is a model folder."""
        return ModelSource(
            name=folder.name, address=str(folder), folder=folder, fingerprint=manifest.fingerprint
        )

    def load(self, folder: Path, manifest: Manifest, base: ModelSource) -> nn.Module:
        """Loads it as transformers does."""
        task = task_told(manifest.task, manifest.task_settings)
        if (folder / HEAD_USE).is_file():
            return with_head(base.backbone(), folder, read_use(folder), task)
        return _by_sequence(_chooser(task).from_pretrained(folder, dtype=torch.float32), task)


class BySequence(nn.Module):
    """Scores sequences one by one by a model of transformers that has a head of its own.

    The scores of a sequence are given as its only state, for a head that changes nothing.
    """

    def __init__(self, scorer: nn.Module, *, grouped: bool) -> None:
        super().__init__()
        self.scorer = scorer
        self._grouped = grouped

    def forward(self, **inputs: torch.Tensor) -> BaseModelOutput:
        """``(sequences, tokens)`` each; gives states ``(sequences, 1, scores)``."""
        if self._grouped:
            inputs = {name: tensor.unsqueeze(1) for name, tensor in inputs.items()}
        return BaseModelOutput(last_hidden_state=self.scorer(**inputs).logits.unsqueeze(1))


def _by_sequence(scorer: nn.Module, task: AnyTask) -> TaskModel:
    assert task.auto_class is not None
    states = BySequence(scorer, grouped=task.auto_class.grouped)
    model = TaskModel(task, states, width=1, pooling="cls", dropout=0.0)
    model.head = nn.Identity()
    return model.eval()


def _chooser(task: AnyTask) -> Any:
    """The class of transformers that chooses among models for a task."""
    assert task.auto_class is not None
    return getattr(transformers, task.auto_class.name)


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _as_pretrained(trained: Trained) -> Any:
    """The pretrained model's configuration, as its maker wrote it but for the type of numbers."""
    config: Any = trained.source.config()
    config.dtype = torch.float32
    return config


def _with_own_head(
    trained: Trained, backbone: PreTrainedModel, head: nn.Module
) -> PreTrainedModel | str:
    """A model of transformers for the task that computes the same, or why there is none."""
    task, config = trained.spec.task, _as_pretrained(trained)
    if task.auto_class is None:
        return f"transformers has no class for {task.name}"
    kind: Any = _chooser(task)._model_mapping.get(type(config), None)
    if kind is None:
        return f"`{task.auto_class.name}` knows no {config.model_type} models"
    if hasattr(config, "summary_use_proj"):  # a summary that can be told to be the first state
        config.summary_type, config.summary_use_proj = "first", False
        config.summary_activation = "linear"
        config.summary_last_dropout = trained.spec.settings.head_dropout
    if not task.auto_class.grouped:  # the scores of a sequence are the answers, which have names
        config.id2label = dict(enumerate(task.described(task.specimen())[1]))
        config.label2id = {name: place for place, name in config.id2label.items()}
    built: PreTrainedModel = kind(copy.deepcopy(config)).eval()
    prefix = f"{built.base_model_prefix}."
    tensors = {f"{prefix}{name}": tensor for name, tensor in backbone.state_dict().items()}
    *_, last = (name for name in built.state_dict() if not name.startswith(prefix))
    place = last.rpartition(".")[0]
    tensors |= {f"{place}.{name}": tensor for name, tensor in head.state_dict().items()}
    drawn = sorted(built.state_dict().keys() - tensors.keys())
    if drawn:
        return f"`{kind.__name__}` reads {_layers(drawn)} too, which was not trained here"
    if lacking := sorted(tensors.keys() - built.state_dict().keys()):
        return f"`{kind.__name__}` has no `{lacking[0]}`"
    try:
        built.load_state_dict(tensors)
    except RuntimeError:
        return f"`{kind.__name__}` has other layers"
    given = logits_of(_by_sequence(built, task), trained.sample, trained.device)
    same = np.allclose(given, trained.logits, rtol=CLOSE, atol=CLOSE)
    return built if same else f"`{kind.__name__}` computes something else from them"


def _layers(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(f"`{name.rpartition('.')[0]}`" for name in names))
