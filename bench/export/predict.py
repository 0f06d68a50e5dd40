"""An export of any form, loaded to answer rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from bench.data.batches import BatchStore
from bench.data.rows import Numbered, examples_of, first_fields, unreadable
from bench.data.sources import read_source
from bench.data.tokens import tokenise
from bench.errors import DataError, ExportError, InputError
from bench.export.forms import FORMS
from bench.export.logits import Tell, logits_of, probabilities
from bench.export.manifest import Manifest, read_manifest
from bench.export.trained import find_base, task_told
from bench.metrics import Outcome, figure
from bench.task import NO_COLUMNS, AnyTask, Asked, Columns, Example, Row


def read_rows(
    path: Path, task: AnyTask, columns: Columns, instead: Columns = NO_COLUMNS
) -> list[Asked[Example]]:
    """Reads a file of rows.

    Args:
        path: rows as of a dataset; the right answer may be missing or empty.
        task: what the rows are of.
        columns: fields that were read of the training data.
        instead: fields that have other names here.

    Raises:
        DataError: with every fault found, as ``file:line: field: what``.
    """
    try:
        source = read_source(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    fields = first_fields(source.rows)
    if fields is None:
        raise DataError(*unreadable(source.name, source.rows))
    missing = [f"--{role}-column {name}" for role, name in instead.named.items()
               if name not in fields]  # fmt: skip
    if missing:
        raise DataError(
            f"{', '.join(missing)}: no such column; {source.name} has {', '.join(fields)}"
        )
    read_as = Columns(**columns.named | instead.named)
    return _asked(source.name, source.rows, task, read_as, fields)


def _asked(
    name: str, rows: Sequence[Numbered], task: AnyTask, columns: Columns, fields: tuple[str, ...]
) -> list[Asked[Example]]:
    read_row = task.asking(fields, columns)
    found: list[Asked[Example]] = []
    faults: list[str] = []

    def read(row: Row, identifier: str) -> Example:
        found.append(read_row(row, identifier))
        return found[-1].example

    examples_of(name, rows, read, faults, task.words.example)
    if faults:
        raise DataError(*faults)
    return found


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one row.

    Attributes:
        identifier: of the row.
        prediction: what the given answer is called.
        probabilities: of each answer, by what it is called.
        given: place of the given answer.
        right: place of the right one; ``None`` where that was not given.
    """

    identifier: str
    prediction: str
    probabilities: Mapping[str, float]
    given: int
    right: int | None

    @property
    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "id": self.identifier,
            "prediction": self.prediction,
            "probabilities": dict(self.probabilities),
        }


def answers_of(
    task: AnyTask, asked: Sequence[Asked[Example]], logits: npt.NDArray[np.float32]
) -> list[Answer]:
    """The answer to each row: the first one with the highest logit.

    Args:
        task: what the rows are of.
        asked: the rows.
        logits: ``(rows, answers)``.
    """
    shares = probabilities(logits)
    chosen = logits.argmax(axis=1)
    return [
        Answer(
            identifier=row.example.identifier,
            prediction=row.labels[place],
            probabilities={
                label: float(share)
                for label, share in zip(row.labels, shares[number], strict=False)
            },
            given=int(place),
            right=task.answer(row.example) if row.answered else None,
        )
        for number, (row, place) in enumerate(zip(asked, chosen, strict=True))
    ]


def scores_of(task: AnyTask, answers: Sequence[Answer]) -> tuple[dict[str, float], int]:
    """Every metric of the task over the rows whose right answer was given, and how many those are.

    Without such rows there is no metric.
    """
    known = [
        (answer.given, answer.right, max(answer.probabilities.values()))
        for answer in answers
        if answer.right is not None
    ]
    if not known:
        return {}, 0
    outcome = Outcome.of(*zip(*known, strict=True))
    return {name: figure(name, outcome) for name in task.metrics}, len(known)


def json_lines(answers: Sequence[Answer]) -> str:
    """One JSON object per line."""
    return "".join(f"{json.dumps(answer.document)}\n" for answer in answers)


def csv_table(answers: Sequence[Answer]) -> str:
    """A table with a column per name of an answer, empty where a row has none of that name."""
    labels = list(dict.fromkeys(label for each in answers for label in each.probabilities))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "prediction", *(f"probability_{label}" for label in labels)])
    for answer in answers:
        shares = [answer.probabilities.get(label, "") for label in labels]
        writer.writerow([answer.identifier, answer.prediction, *shares])
    return text.getvalue()


Write = Callable[[Sequence[Answer]], str]
WRITERS: dict[str, Write] = {".csv": csv_table, ".jsonl": json_lines}
"""How answers are written, by how the name of the file ends."""


def writer_for(path: Path) -> Write:
    """How answers are written to a file.

    Raises:
        InputError: the name does not tell.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"--out {path}: must end in {' or '.join(WRITERS)}")
    return writer


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
