"""One row per arm, tested ones by rank: the rows that every format's leaderboard shows."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.trial_record import TrialRecord
from reports import show
from reports.analysis import Analysis, Entry
from reports.escape import headline
from reports.metrics import JUDGED, TrialFigure, metric
from reports.metrics import tested as objective
from reports.repeats import Confirmed, confirmed
from reports.standings import ArmStanding, standings

BY_RANK = "test_accuracy"
"""The metric whose order is that of ranks."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One arm.

    Attributes:
        standing: its search.
        outcome: what came of its chosen configuration; ``None`` before there is one.
        entry: the same with its test scores; ``None`` without any.
        tested: whether any arm has one. Then costs are of runs with test scores alone: timings of
            the search, which may have shared a device, do not stand beside them.
    """

    standing: ArmStanding
    outcome: Confirmed | None
    entry: Entry | None
    tested: bool

    @property
    def arm(self) -> str:
        """Its name."""
        return self.standing.arm

    @property
    def chosen(self) -> TrialRecord | None:
        """The search trial of its chosen configuration, or the best one so far."""
        return self.outcome.trial if self.outcome else self.standing.best

    @property
    def done(self) -> int:
        """Seeds with a test score."""
        return len(self.entry.seeds.values) if self.entry else 0

    @property
    def planned(self) -> int | None:
        """Seeds on which its configuration was to be run; ``None`` before there is one."""
        return len(self.outcome.seeds) if self.outcome else None

    @property
    def lost(self) -> int:
        """Seeds that ended without a result."""
        return len(self.outcome.lost) if self.outcome else 0

    @property
    def seeds(self) -> str:
        """The counts in words: ``4/5, 1 lost``."""
        if self.planned is None:
            return ""
        return f"{self.done}/{self.planned}" + (f", {self.lost} lost" if self.lost else "")

    def cost(self, name: str) -> float | None:
        """A metric: the median over the tested runs; before any test, of the best search trial."""
        if self.tested:
            return self.entry.cost(name) if self.entry else None
        return metric(name).read(self.chosen) if self.chosen else None

    def figure(self, name: str) -> str:
        """``cost`` as text; empty where it was not measured."""
        return show.figure(metric(name), self.cost(name))

    def untested(self) -> str:
        """Why the arm has no test score, as plain text."""
        if self.outcome is None:
            reason = headline(self.standing.reason or "")
            said = "not tested yet" if self.standing.best else self.standing.said()
            return f"{said}: {reason}" if reason and not self.standing.best else said
        reasons = [self.outcome.candidate.stopped, *(lost.reason for lost in self.outcome.lost)]
        counts = f", {self.lost} of {self.planned} seeds lost" if self.lost else " yet"
        said = f"not tested{counts}"
        first = next((headline(reason) for reason in reasons if reason), "")
        return f"{said}: {first}" if first else said


def rows(analysis: Analysis, sort: str | None = None) -> list[Row]:
    """The arms: tested ones by rank, then accuracy; the others as the search orders them.

    Where the study searches another objective than accuracy, that decides among tested arms.

    Args:
        analysis: the run.
        sort: name of a metric that decides instead; those without it come last.

    Raises:
        StudyError: there is no such metric.
    """
    run = analysis.run
    by_arm = {row.arm: row for row in standings(run.study, run.searched)}
    chosen = {one.candidate.arm: one for one in confirmed(run) if one.candidate.is_best}
    tested = {entry.arm: entry for entry in analysis.leaders}
    found = [
        Row(
            standing=by_arm[arm],
            outcome=chosen.get(arm),
            entry=tested.get(arm),
            tested=bool(tested),
        )
        for arm in [*tested, *(arm for arm in by_arm if arm not in tested)]
    ]
    sort = sort or objective(run.study)
    if sort == BY_RANK:
        return found
    decisive = metric(sort)
    return sorted(found, key=lambda row: _place(row, decisive))


def judged(analysis: Analysis) -> tuple[str, ...]:
    """Metrics of answers to test that any arm has; none where accuracy is all there is."""
    leaders = analysis.leaders
    found = [name for name in JUDGED if any(one.cost(name) is not None for one in leaders)]
    return tuple(found) if found != [BY_RANK] else ()


def _place(row: Row, decisive: TrialFigure) -> tuple[bool, bool, float]:
    value = row.cost(decisive.name)
    return (row.entry is None, value is None, 0.0 if value is None else decisive.sort_key(value))
