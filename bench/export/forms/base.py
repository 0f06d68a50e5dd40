"""The contract of a form in which a trained configuration leaves its run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from torch import nn

from bench.export.manifest import Manifest
from bench.export.trained import Trained
from bench.pretrained.source import ModelSource


class Form(ABC):
    """One form.

    Attributes:
        name: what it is asked by.
        template: of the lines in Python that load it, for the model card.
    """

    name: ClassVar[str]
    template: ClassVar[str]

    @abstractmethod
    def refusal(self, trained: Trained) -> str | None:
        """Why a trial cannot be written in this form, or ``None`` if it can."""

    @abstractmethod
    def write(self, trained: Trained, folder: Path) -> list[str]:
        """Writes what was trained into a folder that is there.

        Returns:
            What the reader of the model card has to know of it, one sentence each.
        """

    def base(
        self, folder: Path, manifest: Manifest, pretrained: Callable[[], ModelSource]
    ) -> ModelSource:
        """The model whose tokenizer, and maybe weights, an export is used with.

        Args:
            folder: the export.
            manifest: its own.
            pretrained: finds the pretrained model, which not every form needs.

        Raises:
            ModelError: it is not there, or not the same.
        """
        return pretrained()

    @abstractmethod
    def load(self, folder: Path, manifest: Manifest, base: ModelSource) -> nn.Module:
        """The model of an export, called with a batch.

        Args:
            folder: the export.
            manifest: its own.
            base: what ``base`` has found.

        Raises:
            ExportError: it cannot be loaded.
        """
