"""The tables of what came out: all that the charts of front, pairs and costs show, and more."""

from __future__ import annotations

import itertools

from reports import show
from reports.analysis import Analysis, Entry
from reports.charts.cost import DEPLOYED, PANELS, UNDEPLOYED, measured
from reports.metrics import COLUMNS
from reports.table import Cell, Table


def costs(analysis: Analysis) -> Table:
    """One row per arm and form of the model: medians over seeds, with their range."""
    rows: list[tuple[str, str, list[Cell | None]]] = []
    columns = [by_form for panel in PANELS for by_form in panel.columns]
    for entry in analysis.leaders:
        for form in (DEPLOYED, UNDEPLOYED):
            cells = [_over_seeds(entry, by_form.get(form)) for by_form in columns]
            if any(cells):
                rows.append((entry.arm, form, cells))
    known = [any(cells[place] for *_, cells in rows) for place in range(len(columns))]
    labels = [COLUMNS[by_form[DEPLOYED]].label for by_form in columns]
    return Table(
        name="costs",
        headings=("arm", "form", *itertools.compress(labels, known)),
        rows=tuple((arm, form, *itertools.compress(cells, known)) for arm, form, cells in rows),
        texts=2,
        sortable=True,
    )


def _over_seeds(entry: Entry, name: str | None) -> Cell | None:
    median = entry.cost(name) if name else None
    if name is None or median is None:
        return None
    found = measured(entry.confirmed.runs, name)
    low, high = min(found), max(found)
    middle, *ends = (show.figure(COLUMNS[name], value) for value in (median, low, high))
    return Cell(text=middle, sort=median, within=None if low == high else " to ".join(ends))
