"""Markdown tables whose cells cannot break out of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.records.trial_record import TrialRecord
from reports import show
from reports.escape import Markdown, markdown, without_folders
from reports.metrics import COLUMNS
from reports.table import Cell, Content, Table


def safe(value: object) -> str:
    """A value as Markdown: what is foreign is escaped, absolute paths are cut to file names."""
    return value if isinstance(value, Markdown) else markdown(without_folders(str(value)))


def table(headings: Sequence[str], rows: Iterable[Iterable[object]], *, left: int = 1) -> Markdown:
    """A Markdown table; cells are escaped, ``None`` is empty.

    Args:
        headings: one per column.
        rows: cells.
        left: how many columns are text and aligned left; the others are numbers.
    """
    rules = ["---" if index < left else "---:" for index in range(len(headings))]
    body = [["" if cell is None else safe(cell) for cell in row] for row in rows]
    lines = [[safe(heading) for heading in headings], rules, *body]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def figures(record: TrialRecord | None, names: Iterable[str]) -> list[str]:
    """A trial's metrics of these names as text; empty where it has none."""
    values = {name: COLUMNS[name].read(record) if record else None for name in names}
    return [show.figure(COLUMNS[name], value) for name, value in values.items()]


def labels(names: Iterable[str]) -> list[str]:
    """The headings of metrics of these names."""
    return [COLUMNS[name].label for name in names]


def shown(found: Table) -> Markdown:
    """A report's table; a range follows its figure in parentheses."""
    cells = ([_text(content) for content in row] for row in found.rows)
    return table(found.headings, cells, left=found.texts)


def _text(content: Content) -> object:
    if not isinstance(content, Cell):
        return content
    return f"{content.text} ({content.within})" if content.within else content.text
