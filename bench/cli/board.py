"""What a person sees while a study runs: a live view on a terminal, log lines elsewhere."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.record import Status, StudyRecord, TrialRecord
from bench.search.events import (
    BudgetOver,
    Died,
    Ended,
    EpochDone,
    Event,
    Halted,
    Observer,
    Opened,
    Scored,
    Started,
)
from bench.spec import TrialSpec
from reports import show
from reports.escape import plain
from reports.terminal import leaderboard_view

BROKEN_OFF = {
    Halted: "stopped without a record",
    Died: "lost its worker and begins again",
}


@dataclass(kw_only=True)
class _Running:
    """A trial at work."""

    spec: TrialSpec
    began: float
    epoch: int = 0
    validation: float | None = None

    def seconds_left(self, usual: float) -> float:
        """By its own pace once an epoch is done; before, by what a trial of its kind takes."""
        spent = time.perf_counter() - self.began
        if self.epoch:
            return spent / self.epoch * (self.spec.settings.epochs - self.epoch)
        return max(0.0, usual - spent)


@dataclass(kw_only=True)
class Scene:
    """What has happened so far, from events alone.

    Attributes:
        study: what was asked; ``None`` until the plan is made.
        workers: trials that run at a time.
        records: of trials that have ended, by fingerprint.
        running: trials at work, by fingerprint.
        spent: seconds per trial that ran here, by arm, stopped ones too.
        deadline: reading of the clock when the time budget is spent; ``None`` without one.
        over: the budget that is spent.
    """

    study: StudyRecord | None = None
    workers: int = 0
    records: dict[str, TrialRecord] = field(default_factory=dict)
    running: dict[str, _Running] = field(default_factory=dict)
    spent: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    deadline: float | None = None
    over: str | None = None

    def take(self, event: Event) -> None:
        """Adds an event."""
        match event:
            case Opened():
                self.study, self.workers = event.study, event.workers
                self.records = {record.fingerprint: record for record in event.kept}
                self.deadline = event.seconds and time.perf_counter() + event.seconds
            case Started():
                now = time.perf_counter()
                self.running[event.spec.fingerprint] = _Running(spec=event.spec, began=now)
            case EpochDone():
                running = self.running[event.spec.fingerprint]
                running.epoch, running.validation = event.epoch, event.validation
            case BudgetOver():
                self.over = event.budget
            case Halted() | Died():
                self.running.pop(event.spec.fingerprint, None)
            case Ended() | Scored():
                record = event.record
                self.records[record.fingerprint] = record
                running_trial = self.running.pop(record.fingerprint, None)
                if running_trial and record.status in {Status.COMPLETED, Status.PRUNED}:
                    self.spent[record.arm].append(time.perf_counter() - running_trial.began)

    def done(self, arm: str) -> int:
        """Trials of an arm that have ended."""
        return sum(record.arm == arm for record in self.records.values())

    def pruned(self, arm: str) -> int:
        """Of them, trials that were stopped early."""
        return sum(
            record.arm == arm and record.status is Status.PRUNED for record in self.records.values()
        )

    @property
    def planned(self) -> int:
        """Trials of the study."""
        return sum(self.study.planned.values()) if self.study else 0

    def seconds_left(self, arm: str) -> float | None:
        """Worker seconds an arm still needs; ``None`` before any trial has ended."""
        seen = self.spent.get(arm) or [s for spent in self.spent.values() for s in spent]
        if not seen or self.study is None:
            return None
        usual = statistics.fmean(seen)
        running = [r.seconds_left(usual) for r in self.running.values() if r.spec.arm == arm]
        waiting = self.study.planned[arm] - self.done(arm) - len(running)
        return waiting * usual + sum(running)

    @property
    def eta(self) -> float | None:
        """Seconds until the last trial ends, or the time budget if that is sooner."""
        if self.study is None or not self.workers or self.over:
            return None
        parts = [self.seconds_left(arm) for arm in self.study.planned]
        known = [part for part in parts if part is not None]
        ends = [sum(known) / self.workers] if known else []
        if self.deadline is not None:
            ends.append(max(0.0, self.deadline - time.perf_counter()))
        return min(ends, default=None)


@contextlib.contextmanager
def watch(*, live: bool, console: Console) -> Iterator[Observer]:
    """An observer that shows a run for as long as the context lasts.

    Args:
        live: redraw one view in place; else write a line per event.
        console: where to.
    """
    scene = Scene()
    if not live:
        yield lambda event: _log(scene, event, console)
        return
    with Live(View(scene), console=console, refresh_per_second=2, transient=True):
        yield scene.take


@dataclass(frozen=True)
class View:
    """The live view, built anew at every refresh."""

    scene: Scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        scene = self.scene
        if scene.study is None:
            yield Text("preparing: model, questions, workers …", "dim")
            return
        heading = f"{plain(scene.study.name)}  {len(scene.records)}/{scene.planned} trials"
        over = f"  {_over(scene.over)}" if scene.over else ""
        parts: list[RenderableType] = [
            Text(f"{heading}{_left(scene.eta)}{over}", "bold"),
            _progress(scene, scene.study),
            _at_work(scene),
        ]
        if any(record.status is Status.COMPLETED for record in scene.records.values()):
            parts.append(leaderboard_view(scene.study, list(scene.records.values()), None))
        yield Group(*parts)


def _progress(scene: Scene, study: StudyRecord) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for arm, planned in study.planned.items():
        bar = ProgressBar(total=planned, completed=scene.done(arm), width=24)
        seconds = scene.seconds_left(arm)
        known = seconds is not None and scene.workers and not scene.over
        share = seconds / scene.workers if seconds is not None and known else None
        pruned = scene.pruned(arm)
        early = Text(f"{pruned} stopped early" if pruned else "", "dim")
        table.add_row(Text(plain(arm)), bar, f"{scene.done(arm)}/{planned}", early, _left(share))
    return table


def _at_work(scene: Scene) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for running in list(scene.running.values()):
        spec = running.spec
        score = "" if running.validation is None else f"validation {running.validation:.3f}"
        epochs = f"epoch {running.epoch}/{spec.settings.epochs}"
        seconds = show.short_duration(time.perf_counter() - running.began)
        table.add_row(Text(spec.trial, "cyan"), epochs, score, seconds, Text(_knobs(spec), "dim"))
    return table


def _log(scene: Scene, event: Event, console: Console) -> None:
    """One line per event, for logs and pipes."""
    scene.take(event)
    moment = datetime.now().astimezone().strftime("%H:%M:%S")
    console.print(f"{moment} {plain(_line(scene, event))}", markup=False, highlight=False,
                  soft_wrap=True)  # fmt: skip


def _line(scene: Scene, event: Event) -> str:
    match event:
        case Opened():
            kept = f", {len(event.kept)} in the ledger" if event.kept else ""
            return f"{scene.planned} trials planned{kept}; {event.workers} at a time"
        case Started():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{event.spec.trial} started{again}: {_knobs(event.spec)}"
        case EpochDone():
            epochs = f"{event.epoch}/{event.spec.settings.epochs}"
            return f"{event.spec.trial} epoch {epochs} validation {event.validation:.3f}"
        case Ended():
            count = f"{len(scene.records)}/{scene.planned} done{_left(scene.eta)}"
            return f"{_end(event.record)} [{count}]"
        case BudgetOver():
            return f"{_over(event.budget)} ({event.running} at work)"
        case Halted() | Died():
            return f"{event.spec.trial} {BROKEN_OFF[type(event)]}"
        case Scored():
            score = event.record.test
            said = f"test {score.accuracy:.3f}" if score else event.record.reason
            return f"{event.record.trial} {said}"


def _over(budget: str) -> str:
    return f"budget of {budget} spent: trials at work stop after their epoch, none begins"


def _end(record: TrialRecord) -> str:
    if record.accuracy is None:
        return f"{record.trial} {record.status}: {record.reason}"
    said = f"{record.trial} {record.status}: validation {record.accuracy.validation:.3f}"
    return f"{said}, {record.reason}" if record.status is Status.PRUNED else said


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"  {show.short_duration(seconds)} left"


def _knobs(spec: TrialSpec) -> str:
    return ", ".join(f"{name}={show.knob(value)}" for name, value in spec.values.items())
