"""An adapter that Hugging Face PEFT loads, with the scoring head beside it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from bench.errors import ExportError
from bench.export.forms.base import Form
from bench.export.head import head_use, read_use, with_head, write_head
from bench.export.manifest import HeadUse, Manifest
from bench.export.snippet import TYPES, public_address
from bench.export.trained import Trained, task_told
from bench.pretrained.source import ModelSource
from bench.strategy import PeftAdapter

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class PeftForm(Form):
    """See the module."""

    name: ClassVar[str] = "peft"
    template: ClassVar[str] = "peft.py.j2"

    def refusal(self, trained: Trained) -> str | None:
        """A strategy that PEFT does not have, or computes otherwise."""
        found = trained.spec.strategy.peft_adapter(trained.model().backbone)
        return found if isinstance(found, str) else None

    def write(self, trained: Trained, folder: Path) -> list[str]:
        """Writes the adapter as PEFT does."""
        model = trained.model()
        adapter = trained.spec.strategy.peft_adapter(model.backbone)
        assert isinstance(adapter, PeftAdapter)
        address = public_address(trained.source)
        config = {
            **adapter.config,
            "base_model_name_or_path": address.name,
            "revision": address.revision,
            "inference_mode": True,
        }
        (folder / CONFIG).write_text(f"{json.dumps(config, indent=2)}\n", encoding="utf-8")
        # Copies, since tensors that share memory cannot be stored.
        tensors = {name: tensor.detach().cpu().clone().contiguous()
                   for name, tensor in adapter.tensors.items()}  # fmt: skip
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        width = trained.workbench.backbone.config.hidden_size
        use = head_use(width, trained.spec.settings, adapter)
        write_head(folder, model.head, use)
        return list(_told(use))

    def load(self, folder: Path, manifest: Manifest, base: ModelSource) -> nn.Module:
        """Loads it by PEFT."""
        use = read_use(folder)
        task = task_told(manifest.task, manifest.task_settings)
        return with_head(PeftBackbone(base, folder, use), folder, use, task)


class PeftBackbone(nn.Module):
    """A pretrained model with an adapter that PEFT has loaded, called as a backbone is.

    Args:
        base: the pretrained model.
        folder: the adapter.
        use: how it is to be called.

    Raises:
        ExportError: PEFT is not installed, or does not load it.
    """

    def __init__(self, base: ModelSource, folder: Path, use: HeadUse) -> None:
        super().__init__()
        try:
            from peft import PeftModel
        except ImportError:
            raise ExportError("PEFT is not installed; run: pip install 'paretune[peft]'") from None
        backbone = base.backbone()
        self._use = use
        self._words = backbone.get_input_embeddings()
        self._types = next((m for n, m in backbone.named_modules() if n.endswith(TYPES)), None)
        try:
            with warnings.catch_warnings():  # what they say was heard when the trial was wrapped
                warnings.simplefilter("ignore")
                self.model = PeftModel.from_pretrained(backbone, folder)
        except (OSError, ValueError, TypeError, RuntimeError, LookupError) as error:
            raise ExportError(f"{folder}: PEFT does not load it: {error}") from error

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> BaseModelOutput:
        """As the backbone's, on ``(sequences, tokens)``."""
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and not self._use.drops_types:
            inputs["token_type_ids"] = token_type_ids
        elif token_type_ids is not None and self._types is not None:
            # The model itself adds the embedding of type 0.
            change = self._types(token_type_ids) - self._types.weight[0]
            inputs["inputs_embeds"] = self._words(inputs.pop("input_ids")) + change
        if self._use.first_position is not None:
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            inputs["position_ids"] = places[None] + self._use.first_position
        states = self.model(**inputs).last_hidden_state
        return BaseModelOutput(last_hidden_state=states[:, self._use.leading_states :])


def _told(use: HeadUse) -> list[str]:
    """What is to be known of calling it."""
    told = []
    if use.leading_states:
        told.append(f"PEFT gives {use.leading_states} states before those of the text: cut them.")
    if use.drops_types:
        told.append(
            "PEFT leaves token types out: where the model has them, their embeddings are added to"
            " those of the words."
        )
    if use.first_position is not None:
        told.append(
            "PEFT would move the text behind the prefix: positions are passed, so that it stays"
            " where it was in training."
        )
    return told
