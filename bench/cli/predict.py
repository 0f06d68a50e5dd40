"""The command ``paretune predict``: answers to rows of a file, by an export of any form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.cli.console import SUCCESS
from bench.cli.export import say
from bench.cli.progress import counted
from bench.errors import Faults, InputError
from bench.export.answers import Answer, accuracy_of, json_lines, writer_for
from bench.export.load import load_export
from bench.export.manifest import Manifest, read_manifest
from bench.export.rows import Asked, read_rows
from bench.source import tokenizer_fingerprint
from bench.storage import write_whole


def predict_rows(
    export: Path, data: Path, to: Path | None, *, model: str | None, as_json: bool
) -> int:
    """Answers every row and returns the exit code.

    Args:
        export: folder that `paretune export` or `paretune train` wrote.
        data: JSON lines of questions.
        to: file for the answers; ``None`` prints them.
        model: where the pretrained model lies; ``None`` where it was.
        as_json: one JSON document instead.

    Raises:
        InputError: with everything that is wrong.
        StorageError: the answers cannot be written.
    """
    manifest, asked = _checked(export, data, to)
    loaded = load_export(export, model)
    if tokenizer_fingerprint(loaded.tokenizer) != manifest.base.tokenizer:
        say("note: the tokenizer is not that of the export", to_errors=True)
    with counted("rows", len(asked)) as tell:
        answers = loaded.answer(asked, tell)
    if to is not None:
        write_whole(to, writer_for(to)(answers).encode())
    if as_json:
        print(json.dumps(_document(manifest, answers, to)))  # noqa: T201
        return SUCCESS
    if to is None:
        print(json_lines(answers), end="")  # noqa: T201
    _tell(answers, to)
    return SUCCESS


def _checked(export: Path, data: Path, to: Path | None) -> tuple[Manifest, list[Asked]]:
    faults = Faults()
    manifest: Manifest | None = None
    asked: list[Asked] = []
    with faults.gathered():
        manifest = read_manifest(export)
    with faults.gathered():
        if to is not None:
            writer_for(to)
            if to.exists() and data.exists() and to.samefile(data):
                raise InputError(f"--out {to}: is the file that is read; choose another")
    with faults.gathered():
        asked = read_rows(data)
    faults.raise_any()
    assert manifest is not None
    return manifest, asked


def _tell(answers: Sequence[Answer], to: Path | None) -> None:
    accuracy, known = accuracy_of(answers)
    where = f" are in {to}" if to else ""
    say(f"{len(answers)} answers{where}", to_errors=to is None)
    if accuracy is not None:
        text = f"accuracy {accuracy:.3f} of {known} rows whose answer was given"
        say(text, to_errors=to is None)


def _document(manifest: Manifest, answers: Sequence[Answer], to: Path | None) -> dict[str, object]:
    accuracy, known = accuracy_of(answers)
    return {
        "trial": manifest.trial,
        "format": manifest.format,
        "rows": len(answers),
        "answered": known,
        "accuracy": accuracy,
        "out": to and str(to),
        "predictions": None if to else [answer.document for answer in answers],
    }
