"""An export of any form, loaded to answer rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from bench.batches import BatchStore
from bench.errors import ExportError
from bench.export.answers import Answer, answers_of
from bench.export.forms import FORMS
from bench.export.manifest import Manifest, read_manifest
from bench.export.rows import read_rows
from bench.export.scores import Tell, logits_of
from bench.export.trained import find_base, task_told
from bench.task import NO_COLUMNS, AnyTask, Asked, Columns, Example
from bench.tokens import tokenise


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """An export that can answer.

    Attributes:
        manifest: what it is.
        task: what it was trained to do.
        model: called with a batch.
        tokenizer: of its base model.
        device: where the model computes, in float32.
    """

    manifest: Manifest
    task: AnyTask
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    device: torch.device

    def rows(self, path: Path, columns: Columns = NO_COLUMNS) -> list[Asked[Example]]:
        """Reads a file of rows.

        Args:
            path: JSON lines or a table.
            columns: fields that have other names there than in the training data.

        Raises:
            DataError: with every fault found.
        """
        return read_rows(path, self.task, Columns(**self.manifest.columns), columns)

    def answer(self, asked: Sequence[Asked[Example]], tell: Tell = lambda _: None) -> list[Answer]:
        """The answer to each row.

        Args:
            asked: one row or more.
            tell: told of so many more rows that have been answered.
        """
        examples = [row.example for row in asked]
        split = tokenise(self.task, examples, self.tokenizer, self.manifest.settings.max_length)
        store = BatchStore(split, self.device)
        return answers_of(self.task, asked, logits_of(self.model, store, self.device, tell))


def load_export(folder: Path, base: str | None = None) -> Loaded:
    """Loads an export on an accelerator, if there is one.

    Args:
        folder: what `paretune export` or `paretune train` wrote.
        base: where the pretrained model lies now; by default where it was.

    Raises:
        ExportError: it is no export, or cannot be loaded here.
        ModelError: its pretrained model is not there, or not the same.
    """
    manifest = read_manifest(folder)
    form = FORMS.get(manifest.format)
    if form is None:
        raise ExportError(
            f"{folder}: its form is {manifest.format!r}; known are {', '.join(FORMS)}"
        )
    task = task_told(manifest.task, manifest.task_settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    source = form.base(folder, manifest, lambda: find_base(manifest.base, base))
    try:
        model = form.load(folder, manifest, source)
    except (OSError, ValueError, RuntimeError) as error:
        raise ExportError(f"{folder}: {error}") from error
    return Loaded(
        manifest=manifest,
        task=task,
        model=model.to(device),
        tokenizer=source.tokenizer(),
        device=device,
    )
