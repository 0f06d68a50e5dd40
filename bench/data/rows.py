"""From rows of any origin to examples of a task, with every fault at its place."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

from bench.task import Example, Row

MAX_LINE_BYTES = 1_000_000
DELIMITERS = (",", ";", "\t")

MOST_FAULTS = 10
"""Of one field and file, that are told one by one."""

E = TypeVar("E", bound=Example)


class RowError(ValueError):
    """Faults of one row, each as ``field: what is wrong, what is allowed``."""

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults


Numbered: TypeAlias = tuple[int, Row | RowError]
"""A row, or why it is none, with its line."""


def read_lines(path: Path) -> Iterator[Numbered]:
    """Rows of a JSON-lines file.

    Blank lines, a byte-order mark and CRLF line ends are taken as they come.
    """
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            line = _decoded(number, raw)
            if line:
                yield number, _object(line)
        except RowError as error:
            yield number, error


def _decoded(number: int, raw: bytes) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise RowError(f"row: {len(raw)} bytes, allowed {MAX_LINE_BYTES}")
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise RowError(f"row: is not UTF-8 ({error.reason})") from error


def _object(line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # cut short, endless digits, nested too deep
        reason = getattr(error, "msg", None) or error
        raise RowError(f"row: is no complete JSON ({reason})") from error
    if not isinstance(row, dict):
        raise RowError(f"row: must be an object, got {shown(row)}")
    return row


def read_table(path: Path) -> Iterator[Numbered]:
    """Rows of a CSV file with a header; a quoted field may hold commas and line ends.

    The delimiter is the comma, semicolon or tab that the header has most of. Blank lines, a
    byte-order mark and CRLF line ends are taken as they come. A column without a name, such as the
    numbers that pandas writes before its rows, is left out.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        yield line, RowError(f"row: is not UTF-8 ({error.reason})")
        return
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    started = 1
    try:
        for cells in table:
            if names is None and cells:
                names = [cell.strip() for cell in cells]
                if faults := _header_faults(names):
                    yield started, RowError(*faults)
                    return
            elif names is not None and cells:
                yield started, _table_row(names, cells)
            started = table.line_num + 1
    except csv.Error as error:
        yield started, RowError(f"row: is no complete CSV ({error})")


def _header_faults(names: list[str]) -> list[str]:
    """What is wrong with the names of the columns."""
    again = sorted({name for name in names if name and names.count(name) > 1})
    return [f"header: column {shown(name)} stands there twice" for name in again]


def _table_row(names: list[str], cells: list[str]) -> Row | RowError:
    if len(cells) != len(names):
        return RowError(f"row: {len(names)} columns are needed as in the header, got {len(cells)}")
    return {name: cell for name, cell in zip(names, cells, strict=True) if name}


READERS: dict[str, Callable[[Path], Iterator[Numbered]]] = {
    ".jsonl": read_lines,
    ".csv": read_table,
    ".tsv": read_table,
}
"""How a file is read, by the end of its name."""


def numbered(rows: Iterable[Row]) -> Iterator[Numbered]:
    """Rows that come from elsewhere than a file; they count from 1."""
    return enumerate(rows, start=1)


def first_fields(rows: Iterable[Numbered]) -> tuple[str, ...] | None:
    """The fields of the first sound row; ``None`` if there is none."""
    return next((tuple(row) for _, row in rows if not isinstance(row, RowError)), None)


def unreadable(name: str, rows: Iterable[Numbered]) -> list[str]:
    """What is wrong with rows of which none is sound.

    Args:
        name: of the file or split.
        rows: of it.
    """
    wrong = [
        (number, fault) for number, row in rows if isinstance(row, RowError) for fault in row.faults
    ]
    return list(_placed(name, wrong)) or [f"{name}: holds no row"]


def examples_of(
    name: str,
    rows: Iterable[Numbered],
    read: Callable[[Row, str], E],
    faults: list[str],
    word: str = "example",
) -> list[E]:
    """The examples of a split; adds what is wrong, as ``name:line: field: what``, to ``faults``.

    Args:
        name: of the file or split.
        rows: of it.
        read: see ``bench.task.Reading``.
        faults: of all splits; many of one field are counted.
        word: what an example is called.
    """
    stem = name.partition(".")[0]
    found: list[tuple[int, E]] = []
    wrong: list[tuple[int, str]] = []
    for number, row in rows:
        try:
            if isinstance(row, RowError):
                raise row
            found.append((number, read(row, f"{stem}-{number}")))
        except RowError as error:
            wrong.extend((number, fault) for fault in error.faults)
    first: dict[str, int] = {}
    for number, example in found:
        earlier = first.setdefault(example.identifier, number)
        if earlier != number:
            again = shown(example.identifier)
            wrong.append((number, f"id: {again} stands on line {earlier} too"))
    faults.extend(_placed(name, wrong))
    if not found and not wrong:
        faults.append(f"{name}: holds no {word}")
    return [example for _, example in found]


def _placed(name: str, wrong: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Faults at their lines; of many of one field the first, and how many more there are."""
    counts = Counter[str]()
    for number, fault in wrong:
        field = fault.partition(":")[0]
        counts[field] += 1
        if counts[field] <= MOST_FAULTS:
            yield f"{name}:{number}: {fault}"
    for field, count in counts.items():
        if count > MOST_FAULTS:
            yield f"{name}: {field}: {count - MOST_FAULTS} more faults, on later lines"


def is_text(value: object) -> bool:
    """Whether it is more than blanks and of whole characters: JSON can escape half a surrogate."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def fold(text: str) -> str:
    """A text without case and spacing."""
    return " ".join(text.casefold().split())


def shown(value: object) -> str:
    """A value in an error, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
