"""What a person sees while a study runs: a live view on a terminal, log lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.cli import feed
from bench.cli.scene import Scene
from bench.metrics import ACCURACY, METRICS, Metric
from bench.records.events import (
    BudgetOver,
    Died,
    Ended,
    EpochDone,
    Event,
    Frozen,
    Halted,
    Kept,
    Narrowed,
    Noted,
    Observer,
    Opened,
    Scored,
    Started,
    TrialOutline,
    short,
)
from bench.records.study_record import Run
from bench.records.trial_record import Status, TestScore, TrialRecord
from bench.tune.gpu_share import SAYS
from reports import show
from reports.escape import plain
from reports.text.terminal import leaderboard_view

BROKEN_OFF = {
    Halted: "stopped without a record",
    Died: "lost its worker and begins again",
}


@contextlib.contextmanager
def watch(*, live: bool, console: Console) -> Iterator[Observer]:
    """An observer that shows a run for as long as the context lasts.

    Args:
        live: redraw one view in place; else write a line per event.
        console: where to.
    """
    scene = Scene()
    if live:
        with screen(scene, console):
            yield lambda event: show_event(scene, event, console)
    elif feed.is_followed():
        yield lambda event: _feed(scene, event, console)
    else:
        yield lambda event: _log(scene, event, console)


def show_event(scene: Scene, event: Event, console: Console) -> None:
    """Adds an event to a scene that is shown live; what is about no trial stays above it."""
    if isinstance(event, Noted):
        _log(scene, event, console)
    else:
        scene.take(event)


def screen(scene: Scene, console: Console) -> Live:
    """The live view of a scene, which is gone when it ends; what is printed meanwhile is above."""
    return Live(View(scene), console=console, refresh_per_second=2, transient=True)


SHARE = 20
"""A leaderboard that took a second to make is shown for so many seconds."""


@dataclass
class View:
    """The live view, built anew at every refresh; its leaderboard more rarely if it is large.

    Attributes:
        scene: what has happened.
    """

    scene: Scene
    _leaderboard: RenderableType | None = None
    _good_until: float = 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        scene = self.scene
        run = scene.run
        if run is None:
            yield Text("preparing: model, data, workers …", "dim")
            return
        stage = " with fresh seeds" if scene.freeze else ""
        count = f"{len(scene.records)}/{scene.all_planned} trials{stage}"
        heading = f"{plain(run.study.name)}  {count}"
        over = f"  {_over(scene.over)}" if scene.over else ""
        parts: list[RenderableType] = [
            Text(f"{heading}{_left(scene.eta)}{over}", "bold"),
            _progress(scene),
            _at_work(scene),
        ]
        if any(record.status is Status.COMPLETED for record in run.searched):
            parts.append(self._board(run))
        yield Group(*parts)

    def _board(self, run: Run) -> RenderableType:
        began = time.perf_counter()
        if self._leaderboard is None or began >= self._good_until:
            self._leaderboard = leaderboard_view(run, None)
            now = time.perf_counter()
            self._good_until = now + SHARE * (now - began)
        return self._leaderboard


def _progress(scene: Scene) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for arm, planned in scene.planned.items():
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
        trial = running.trial
        score = "" if running.validation is None else _validated(scene, running.validation)
        epochs = f"epoch {running.epoch}/{trial.epochs}"
        seconds = show.short_duration(time.perf_counter() - running.began)
        table.add_row(Text(trial.name, "cyan"), epochs, score, seconds, Text(_knobs(trial), "dim"))
    return table


def _log(scene: Scene, event: Event, console: Console) -> None:
    """One line per event, for logs and pipes."""
    console.print(_text(scene, event), markup=False, highlight=False, soft_wrap=True)


def _feed(scene: Scene, event: Event, console: Console) -> None:
    """The same lines, each with its event, for a process that follows."""
    for part in short(event):
        console.file.write(feed.line(_text(scene, part), part))
    console.file.flush()


def _text(scene: Scene, event: Event) -> str:
    scene.take(event)
    moment = datetime.now().astimezone().strftime("%H:%M:%S")
    return f"{moment} {plain(_line(scene, event))}"


def _line(scene: Scene, event: Event) -> str:
    match event:
        case Opened() | Frozen() | Narrowed() | Kept() | Noted():
            return _stage(scene, event)
        case Started():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{event.trial.name} started{again}: {_knobs(event.trial)}"
        case EpochDone():
            epochs = f"{event.epoch}/{event.trial.epochs}"
            return f"{event.trial.name} epoch {epochs} {_validated(scene, event.validation)}"
        case Ended():
            count = f"{len(scene.records)}/{scene.all_planned} done{_left(scene.eta)}"
            return f"{_end(scene, event.record)} [{count}]"
        case BudgetOver():
            return f"{_over(event.budget)} ({event.running} at work)"
        case Halted() | Died():
            return f"{event.trial.name} {BROKEN_OFF[type(event)]}"
        case Scored():
            score, reason = event.record.test, event.record.reason
            said = _tested(scene, score) if score and not reason else reason
            return f"{event.record.trial} {said}"


def _objective(scene: Scene) -> Metric:
    """What the scores of a run are of."""
    return METRICS[scene.run.study.objective if scene.run else ACCURACY]


def _validated(scene: Scene, score: float) -> str:
    return f"validation {_objective(scene).label} {score:.3f}"


def _tested(scene: Scene, score: TestScore) -> str:
    goal = _objective(scene)
    return f"test {goal.label} {score.scores.get(goal.name, score.accuracy):.3f}"


def _stage(scene: Scene, event: Opened | Frozen | Narrowed | Kept | Noted) -> str:
    if isinstance(event, Noted):
        return event.text
    if isinstance(event, Kept):
        return f"{len(event.records)} in the ledger"
    if isinstance(event, Narrowed):
        return f"stopped, as the front is out of reach: {', '.join(event.stopped)}"
    kept = f", {len(event.kept)} in the ledger" if event.kept else ""
    if isinstance(event, Opened):
        placed = [f"; {note}" for note in event.study.notices if note.startswith(SAYS)]
        first = f"{scene.all_planned} trials planned{kept}; {event.workers} at a time"
        return first + "".join(placed if event.workers else [])
    configurations, seeds = len(event.freeze.candidates), len(event.freeze.seeds)
    return (
        f"frozen: {configurations} configurations, {seeds} fresh seeds each{kept};"
        f" {event.workers} at a time, each with a device to itself"
    )


def _over(budget: str) -> str:
    return f"budget of {budget} spent: trials at work stop after their epoch, none begins"


def _end(scene: Scene, record: TrialRecord) -> str:
    if record.score is None:
        return f"{record.trial} {record.status}: {record.reason}"
    said = f"{record.trial} {record.status}: {_validated(scene, record.score)}"
    return f"{said}, {record.reason}" if record.status is Status.PRUNED else said


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"  {show.short_duration(seconds)} left"


def _knobs(trial: TrialOutline) -> str:
    return ", ".join(f"{name}={show.knob(value)}" for name, value in trial.values.items())
