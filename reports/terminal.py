"""The leaderboard for a terminal, during a run and after it. Builds; does not print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from bench.record import StudyRecord, TrialRecord
from reports import show
from reports.escape import headline, plain
from reports.metrics import METRICS
from reports.standings import Standing, leading_metric, standings

SHORT_NAMES = {"learning_rate": "lr"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of figures: the metric it shows, its heading, and how a figure is written."""

    metric: str
    heading: str
    write: Callable[[float], str]

    def read(self, row: Standing) -> float | None:
        """The figure of the arm's chosen trial."""
        return METRICS[self.metric].read(row.best) if row.best else None


COLUMNS = (
    Column(metric="accuracy_before", heading="before", write=show.share),
    Column(metric="validation_accuracy", heading="valid.", write=show.share),
    Column(metric="test_accuracy", heading="test", write=show.share),
    Column(metric="trained_parameters", heading="params", write=show.short_count),
    Column(metric="train_seconds", heading="train", write=show.short_duration),
    Column(metric="inference_ms_p50", heading="ms/q", write=show.significant),
)


def leaderboard_view(
    study: StudyRecord, records: Iterable[TrialRecord], sort: str | None = None
) -> Table:
    """One row per arm, fit for 100 columns; the best figure of a column is bold.

    Args:
        study: what was asked.
        records: what has finished so far.
        sort: metric that decides the order, see ``reports.standings.standings``.

    Raises:
        StudyError: there is no such metric.
    """
    rows = standings(study, records, sort)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.caption, table.caption_justify = _caption(rows, sort), "left"
    table.add_column("arm", no_wrap=True, max_width=16)
    table.add_column("best knobs")  # the one column that gives way on a narrow terminal
    table.add_column("trials", justify="right", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.heading, justify="right", no_wrap=True)
    best = {column.metric: _best(column, rows) for column in COLUMNS}
    for row in rows:
        figures = [_figure(column, row, best[column.metric]) for column in COLUMNS]
        table.add_row(Text(plain(row.arm), "bold"), _knobs(study, row), _trials(row), *figures)
    return table


def _best(column: Column, rows: Sequence[Standing]) -> float | None:
    values = [value for row in rows if (value := column.read(row)) is not None]
    # Where all are equal none is the best.
    return min(values, key=METRICS[column.metric].rank) if len(set(values)) > 1 else None


def _figure(column: Column, row: Standing, best: float | None) -> Text:
    value = column.read(row)
    if value is None:
        return Text("")
    text = Text(column.write(value), "bold green" if value == best else "")
    interval = row.test_interval
    if column.metric == "test_accuracy" and interval:
        text.append(f" ±{interval.half:.3f}".replace("0.", "."), "dim")
    return text


def _knobs(study: StudyRecord, row: Standing) -> Text:
    if row.best is None:
        reason = headline(row.reason or "")
        return _one_line(f"{row.said()}: {reason}" if reason else row.said())
    searched = study.spaces.get(row.arm) or row.best.values
    values = {
        SHORT_NAMES.get(name, name): value
        for name, value in row.best.values.items()
        if name in searched
    }
    return _one_line(show.knobs(values))


def _one_line(text: str) -> Text:
    return Text(plain(text), "dim", no_wrap=True, overflow="ellipsis")


def _trials(row: Standing) -> Text:
    done = sum(row.ends.values())
    text = Text(f"{done}" if row.planned is None else f"{done}/{row.planned}")
    if row.failed:
        text.append(f" {row.failed}✗", "red")
    if row.pruned:
        text.append(f" {row.pruned}↓", "dim")
    return text


def _caption(rows: Sequence[Standing], sort: str | None) -> Text:
    chosen = [row.best for row in rows if row.best]
    if not chosen:
        return Text("\nno completed trial yet", "dim")
    name = METRICS[sort] if sort else leading_metric(chosen)
    signs = [
        "; ±: half a 95 % interval" if any(row.test_interval for row in rows) else "",
        "; ✗: failed" if any(row.failed for row in rows) else "",
        "; ↓: stopped early" if any(row.pruned for row in rows) else "",
    ]
    return Text(f"\nbest trial per arm, by {name.label}{''.join(signs)}", "dim")
