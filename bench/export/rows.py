"""Rows to be answered, whose right answers may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import DataError
from bench.rows import Numbered, examples_of, first_fields, unreadable
from bench.sources import read_source
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
