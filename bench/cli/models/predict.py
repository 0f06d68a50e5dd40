"""The command ``paretune predict``: answers to rows of a file, by an export of any form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bench.cli.console import SUCCESS, counted
from bench.cli.models.export import say
from bench.data.sources import read_source
from bench.errors import Faults, InputError
from bench.export.manifest import Manifest, read_manifest
from bench.export.predict import json_lines, load_export, read_rows, scores_of, writer_for
from bench.export.trained import task_told
from bench.metrics import METRICS
from bench.pretrained.source import tokenizer_fingerprint
from bench.storage.files import write_whole
from bench.task import AnyTask, Asked, Columns, Example


@dataclass(frozen=True, kw_only=True)
class RowsToAnswer:
    """What was asked of an export.

    Attributes:
        export: folder that `paretune export` or `paretune train` wrote.
        data: the rows: JSON lines or a table.
        to: file for the answers; ``None`` prints them.
        columns: fields that have other names in the rows than in the training data.
        model: where the pretrained model lies; ``None`` where it was.
        as_json: one JSON document instead.
    """

    export: Path
    data: Path
    to: Path | None
    columns: Columns
    model: str | None
    as_json: bool

    def checked(self) -> tuple[Manifest, AnyTask, list[Asked[Example]]]:
        """The export, its task, and the rows.

        Raises:
            InputError: with everything that is wrong.
        """
        faults, manifest, task = Faults(), None, None
        asked: list[Asked[Example]] = []
        with faults.gathered():
            manifest = read_manifest(self.export)
            task = task_told(manifest.task, manifest.task_settings)
        with faults.gathered():
            if self.to is not None:
                writer_for(self.to)
                if self.to.exists() and self.data.exists() and self.to.samefile(self.data):
                    raise InputError(f"--out {self.to}: is the file that is read; choose another")
        with faults.gathered():
            if manifest is None or task is None:  # it alone says how to read them
                read_source(self.data)
            else:
                asked = read_rows(self.data, task, Columns(**manifest.columns), self.columns)
        faults.raise_any()
        assert manifest is not None
        assert task is not None
        return manifest, task, asked


def predict_rows(request: RowsToAnswer) -> int:
    """Answers every row and returns the exit code.

    Raises:
        InputError: with everything that is wrong.
        StorageError: the answers cannot be written.
    """
    manifest, task, asked = request.checked()
    loaded, to = load_export(request.export, request.model), request.to
    if tokenizer_fingerprint(loaded.tokenizer) != manifest.base.tokenizer:
        say("note: the tokenizer is not that of the export", to_errors=True)
    with counted("rows", len(asked)) as tell:
        answers = loaded.answer(asked, tell)
    if to is not None:
        write_whole(to, writer_for(to)(answers).encode())
    scores, known = scores_of(task, answers)
    if request.as_json:
        document = {
            "trial": manifest.trial,
            "format": manifest.format,
            "rows": len(answers),
            "answered": known,
            "scores": scores,
            "out": to and str(to),
            "predictions": None if to else [answer.document for answer in answers],
        }
        print(json.dumps(document))  # noqa: T201
        return SUCCESS
    if to is None:
        print(json_lines(answers), end="")  # noqa: T201
    where = f" are in {to}" if to else ""
    say(f"{len(answers)} answers{where}", to_errors=to is None)
    for name, value in scores.items():
        text = f"{METRICS[name].label} {value:.3f} of {known} rows whose answer was given"
        say(text, to_errors=to is None)
    return SUCCESS
