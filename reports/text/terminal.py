"""The leaderboard for a terminal, during a run and after it. Builds; does not print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from rich import box
from rich.table import Table
from rich.text import Text

from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis, analyse, comparable
from reports.devices import device_line
from reports.escape import headline, plain
from reports.leaderboard import Row, rows
from reports.metrics import COLUMNS, besides_accuracy, searched, tested
from reports.standings import ArmStanding, standings
from reports.text import notes
from reports.text.cautions import shared, timed

SHORT_NAMES = {"learning_rate": "lr"}
GOOD = "bold green"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of figures: the metric it shows, its heading, and how a figure is written."""

    metric: str
    heading: str
    write: Callable[[float], str]

    def texts(self, values: Sequence[float | None]) -> list[Text]:
        """Its cells; the best figure is bold, unless all are equal."""
        measured = {value for value in values if value is not None}
        best = min(measured, key=COLUMNS[self.metric].sort_key) if len(measured) > 1 else None
        return [
            Text("") if value is None else Text(self.write(value), GOOD if value == best else "")
            for value in values
        ]


BEFORE = Column(metric="accuracy_before", heading="before", write=show.share)
COSTS = (
    Column(metric="trained_parameters", heading="params", write=show.short_count),
    Column(metric="train_seconds", heading="train", write=show.short_duration),
    Column(metric="inference_ms_p50", heading="ms/q", write=show.significant),
)


def search_columns(study: StudyRecord) -> tuple[Column, ...]:
    """The figures of a search."""
    return BEFORE, Column(metric=searched(study), heading="valid.", write=show.share), *COSTS


def test_columns(study: StudyRecord) -> tuple[Column, ...]:
    """The figures of tested arms, besides accuracy: first the objective, if it is another."""
    goals = besides_accuracy(study, tested(study))
    mine = (Column(metric=name, heading=study.objective, write=show.share) for name in goals)
    return (*mine, BEFORE, *COSTS)


def leaderboard_view(run: Run, sort: str | None = None) -> Table:
    """One row per arm, fit for 100 columns; the best figure of a column is bold.

    Arms stand by rank on test as soon as one has a test score, before that by the objective on
    validation; the two are never shown together. Asking again for the very same records costs
    nothing.

    Args:
        run: what has finished so far.
        sort: metric that decides the order instead; the objective on validation shows the search's
            standing even where there are test scores.

    Raises:
        StudyError: there is no such metric.
    """
    return _view(_Same(run), sort)


class _Same:
    """A run that equals another only if it holds the very same records."""

    def __init__(self, run: Run) -> None:
        self.run = run
        parts = (run.study, run.freeze, *run.searched, *run.confirmed, *run.former)
        self._parts = tuple(map(id, parts))  # none is used anew while the run is kept here

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)


@lru_cache(maxsize=1)
def _view(same: _Same, sort: str | None) -> Table:
    run = same.run
    if sort != searched(run.study) and any(one.candidate.is_best for one in comparable(run)):
        return _tested_view(analyse(run), sort)
    return _search_view(run, sort)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        if heading.endswith("knobs"):  # the one column that gives way on a narrow terminal
            table.add_column(heading)
        elif heading == "arm":
            table.add_column(heading, no_wrap=True, max_width=16)
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    table.caption_justify = "left"
    return table


def _tested_view(analysis: Analysis, sort: str | None) -> Table:
    board, study = rows(analysis, sort), analysis.run.study
    shown = test_columns(study)
    figures = [column.heading for column in shown]
    table = _table("rank", "arm", "knobs", "seeds", "test", "P>next", *figures)
    table.caption = _tested_caption(analysis, board, sort)
    _entitle(table, timed(analysis))
    last = max(entry.rank or 1 for entry in analysis.leaders)
    columns = [
        column.texts([row.entry.cost(column.metric) if row.entry else None for row in board])
        for column in shown
    ]
    for row, *costs in zip(board, *columns, strict=True):
        rank = Text(str(row.entry.rank) if row.entry else "")
        arm = Text(plain(row.arm), "bold")
        table.add_row(rank, arm, _what(study, row), _seeds(row), *_scores(row, last), *costs)
    return table


def _what(study: StudyRecord, row: Row) -> Text:
    if row.entry is None or row.chosen is None:
        return _one_line(row.untested())
    return _knobs(study, row.chosen)


def _seeds(row: Row) -> Text:
    text = Text("" if row.planned is None else f"{row.done}/{row.planned}")
    if row.lost:
        text.append(f" {row.lost}✗", "red")
    return text


def _scores(row: Row, last: int) -> list[Text]:
    """Accuracy and its lead; the first rank is bold, unless there is no other."""
    entry = row.entry
    if entry is None:
        return [Text(""), Text("")]
    accuracy, better = entry.accuracy, entry.better_than_next
    text = Text(show.share(accuracy.value), GOOD if entry.rank == 1 < last else "")
    text.append(f" {show.half(accuracy.low, accuracy.high)}", "dim")
    return [text, Text("" if better is None else show.probability(better))]


def _tested_caption(analysis: Analysis, board: Sequence[Row], sort: str | None) -> Text:
    study = analysis.run.study
    by = (sort,) if sort else besides_accuracy(study, tested(study))
    signs = [
        *(f", by {COLUMNS[name].label}" for name in by),
        f"; ±: half a 95 % interval {notes.interval_over(analysis)}",
        "; rank: 1 + arms significantly better",
        "; P>next: probability of beating the next",
        "; before: on validation, untrained",
        "; ✗: lost" if any(row.lost for row in board) else "",
        _apart(timed(analysis)),
    ]
    return Text(f"\nmean test accuracy per arm{''.join(signs)}", "dim")


def _search_view(run: Run, sort: str | None) -> Table:
    searches = standings(run.study, run.searched, sort)
    shown = search_columns(run.study)
    table = _table("arm", "best knobs", "trials", *(column.heading for column in shown))
    table.caption = _search_caption(run, searches, sort)
    _entitle(table, run.searched)
    columns = [
        column.texts(
            [COLUMNS[column.metric].read(row.best) if row.best else None for row in searches]
        )
        for column in shown
    ]
    for row, *figures in zip(searches, *columns, strict=True):
        arm = Text(plain(row.arm), "bold")
        table.add_row(arm, _searched(run.study, row), _trials(row), *figures)
    return table


def _searched(study: StudyRecord, row: ArmStanding) -> Text:
    if row.best is None:
        reason = headline(row.reason or "")
        return _one_line(f"{row.said()}: {reason}" if reason else row.said())
    return _knobs(study, row.best)


def _knobs(study: StudyRecord, record: TrialRecord) -> Text:
    searched = study.spaces.get(record.arm) or record.values
    values = {
        SHORT_NAMES.get(name, name): value
        for name, value in record.values.items()
        if name in searched
    }
    return _one_line(show.knobs(values))


def _one_line(text: str) -> Text:
    return Text(plain(text), "dim", no_wrap=True, overflow="ellipsis")


def _trials(row: ArmStanding) -> Text:
    done = sum(row.ends.values())
    text = Text(f"{done}" if row.planned is None else f"{done}/{row.planned}")
    if row.failed:
        text.append(f" {row.failed}✗", "red")
    if row.pruned:
        text.append(f" {row.pruned}↓", "dim")
    return text


def _search_caption(run: Run, searches: Sequence[ArmStanding], sort: str | None) -> Text:
    if not any(row.best for row in searches):
        return Text("\nno completed trial yet", "dim")
    signs = chain(
        ["; validation is optimistic"],
        ["; ✗: failed"] if any(row.failed for row in searches) else [],
        ["; ↓: stopped early"] if any(row.pruned for row in searches) else [],
        [_apart(run.searched)],
    )
    by = COLUMNS[sort or searched(run.study)].label
    return Text(f"\nbest trial per arm, by {by}{''.join(signs)}", "dim")


def _apart(records: Sequence[TrialRecord]) -> str:
    """A flag on times, if any was taken on a shared device."""
    return "; times not comparable: device shared" if shared(records) else ""


def _entitle(table: Table, records: Sequence[TrialRecord]) -> None:
    """Says above a table that its times are of several devices, if they are."""
    line = device_line(records)
    if line is not None:
        table.title, table.title_justify = Text(line, "yellow"), "left"
