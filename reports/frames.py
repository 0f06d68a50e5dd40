"""Data frames in which missing is missing, never a number, and their only way to a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.escape import csv_cell


def fit_for_csv(table: pd.DataFrame) -> bytes:
    """The table as CSV (UTF-8): missing is empty, text that starts like a formula gets a ``'``.

    Absolute paths are cut to file names.
    """
    guarded = pd.DataFrame(
        {
            csv_cell(name): pd.Series([csv_cell(cell) for cell in table[name]], dtype=object)
            for name in table.columns
        }
    )
    text: str = guarded.to_csv(index=False, lineterminator="\n")
    return text.encode()


def frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """A table of these columns; ``None`` is missing and leaves whole numbers whole."""
    return pd.DataFrame({name: _column(cells) for name, cells in columns.items()})


def _column(cells: Sequence[Any]) -> pd.Series[Any]:
    """A column that can miss values without turning whole numbers into reals."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int}:
        return pd.Series(cells, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(cells, dtype="Float64")
    if kinds == {bool}:
        return pd.Series(cells, dtype="boolean")
    return pd.Series(cells, dtype="string" if kinds == {str} else object)
