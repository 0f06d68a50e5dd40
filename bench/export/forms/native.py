"""Our own form: the tensors that were trained, and how their model is built; any strategy."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from safetensors.torch import load_file, save_file
from torch import nn

from bench.errors import ExportError, TrialRefused
from bench.export.forms.base import Form
from bench.export.manifest import Manifest
from bench.export.trained import Trained, spec_of
from bench.pretrained.source import ModelSource

WEIGHTS = "trained.safetensors"


class Native(Form):
    """See the module."""

    name: ClassVar[str] = "native"
    template: ClassVar[str] = "native.py.j2"

    def refusal(self, trained: Trained) -> str | None:
        """None: every strategy can be built again where it is installed."""
        return None

    def write(self, trained: Trained, folder: Path) -> list[str]:
        """Writes the tensors; the manifest says the rest."""
        tensors = {name: tensor.cpu().contiguous() for name, tensor in trained.tensors.items()}
        save_file(tensors, folder / WEIGHTS)
        return [f"Loading needs paretune with the strategy `{trained.spec.strategy.name}`."]

    def load(self, folder: Path, manifest: Manifest, base: ModelSource) -> nn.Module:
        """Adapts the pretrained model again and puts the tensors back."""
        spec = spec_of(manifest)
        try:
            return Trained(spec, base, load_file(folder / WEIGHTS)).model()
        except (ValueError, TrialRefused) as error:
            raise ExportError(f"{folder}: {error}") from error
