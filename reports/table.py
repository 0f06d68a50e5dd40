"""A table before it has a format: headings, and cells with their text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from reports import show
from reports.metrics import COLUMNS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure.

    Attributes:
        text: how it is written.
        sort: what it is sorted by.
        within: its range, for a line below.
    """

    text: str
    sort: float | None = None
    within: str | None = None


Content: TypeAlias = Cell | str | int | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a report.

    Attributes:
        name: unique in the report.
        headings: one per column.
        rows: cells; ``None`` is empty.
        texts: how many columns are text and aligned left, the first of them a heading of its row.
        sortable: whether readers may sort it.
        left_out: further rows that are not shown.
    """

    name: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Content, ...], ...]
    texts: int = 1
    sortable: bool = False
    left_out: int = 0


def figure(name: str, value: float | None) -> Cell:
    """A metric's value in its unit."""
    return Cell(text=show.figure(COLUMNS[name], value), sort=value)
