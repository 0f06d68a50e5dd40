"""What a person sees while a study runs: a live view on a terminal, log lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.cli import event_log as feed
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
from bench.records.study_record import Freeze, Run, StudyRecord
from bench.records.trial_record import Status, TestScore, TrialRecord
from bench.tune.gpu_share import SAYS
from reports import show
from reports.escape import plain
from reports.text.terminal import leaderboard_view


@dataclass(kw_only=True)
class Running:
    """A trial at work."""

    trial: TrialOutline
    began: float
    epoch: int = 0
    validation: float | None = None

    def seconds_left(self, usual: float) -> float:
        """By its own pace once an epoch is done; before, by what a trial of its kind takes."""
        spent = time.perf_counter() - self.began
        if self.epoch:
            return spent / self.epoch * (self.trial.epochs - self.epoch)
        return max(0.0, usual - spent)


@dataclass(kw_only=True)
class Spent:
    """Seconds of trials that have ended; true once there is one."""

    trials: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more trial."""
        self.trials += 1
        self.seconds += seconds

    def __bool__(self) -> bool:
        return self.trials > 0


@dataclass(kw_only=True)
class Scene:
    """What has happened so far, from events alone.

    Attributes:
        study: what was asked; ``None`` until the plan is made.
        freeze: what is run again on fresh seeds; ``None`` during the search.
        workers: trials that run at a time.
        planned: trials per arm of the search, or those with fresh seeds.
        records: of them, trials that have ended, by fingerprint.
        searched: trials of the search, once it is over.
        running: trials at work, by fingerprint.
        spent: seconds of the trials that ran here, by arm, stopped ones too.
        deadline: reading of the clock when the time budget is spent; ``None`` without one.
        over: the budget that is spent.
        ended: how many of the records, by arm and by whether they were stopped early: counted as
            they come, since a look at all of them at each event is too slow with thousands.
    """

    study: StudyRecord | None = None
    freeze: Freeze | None = None
    workers: int = 0
    planned: dict[str, int] = field(default_factory=dict)
    records: dict[str, TrialRecord] = field(default_factory=dict)
    searched: dict[str, TrialRecord] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    spent: defaultdict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))
    deadline: float | None = None
    over: str | None = None
    ended: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def take(self, event: Event, age: float = 0.0) -> None:
        """Adds an event.

        Args:
            event: what has happened.
            age: seconds since then.
        """
        now = time.perf_counter() - age
        match event:
            case Opened() | Frozen() | Narrowed() | Kept():
                self._begin(event, now)
            case Started():
                self.running[event.trial.fingerprint] = Running(trial=event.trial, began=now)
            case EpochDone():
                if running := self.running.get(event.trial.fingerprint):
                    running.epoch, running.validation = event.epoch, event.validation
            case BudgetOver():
                self.over = event.budget
            case Halted() | Died():
                self.running.pop(event.trial.fingerprint, None)
            case Ended() | Scored():
                self._end(event.record, now)

    def _end(self, record: TrialRecord, now: float) -> None:
        if before := self.records.get(record.fingerprint):
            self.ended[_place(before)] -= 1
        self.ended[_place(record)] += 1
        self.records[record.fingerprint] = record
        running = self.running.pop(record.fingerprint, None)
        if running and record.status in {Status.COMPLETED, Status.PRUNED}:
            self.spent[record.arm].add(now - running.began)

    def _begin(self, event: Opened | Frozen | Narrowed | Kept, now: float) -> None:
        if isinstance(event, Opened):
            self.study, self.workers = event.study, event.workers
            self.planned = event.planned
            self._keep(event.kept)
            self.deadline = event.seconds and now + event.seconds
            return
        if isinstance(event, Kept):
            self._keep((*self.records.values(), *event.records))
            if self.freeze:
                self._plan_confirmation(self.freeze)
            return
        if isinstance(event, Frozen):
            self.workers = event.workers
            self.searched = self.records
            self._keep(event.kept)
            self.spent.clear()
            self.deadline = self.over = None
        self._plan_confirmation(event.freeze)

    def _keep(self, records: Iterable[TrialRecord]) -> None:
        """Begins a stage with what was there before."""
        self.records = {record.fingerprint: record for record in records}
        self.ended = Counter(_place(record) for record in self.records.values())

    def _plan_confirmation(self, freeze: Freeze) -> None:
        self.freeze = freeze
        done = Counter(record.confirms for record in self.records.values())
        self.planned = dict.fromkeys((one.arm for one in freeze.candidates), 0)
        for one in freeze.candidates:
            count = done[one.fingerprint] if one.stopped else len(freeze.seeds)
            self.planned[one.arm] += count

    @property
    def run(self) -> Run | None:
        """Everything known so far; ``None`` until the plan is made."""
        if self.study is None:
            return None
        now = tuple(self.records.values())
        if self.freeze is None:
            return Run(study=self.study, searched=now)
        before = tuple(self.searched.values())
        return Run(study=self.study, searched=before, confirmed=now, freeze=self.freeze)

    def done(self, arm: str) -> int:
        """Trials of an arm that have ended."""
        return self.ended[arm, True] + self.ended[arm, False]

    def pruned(self, arm: str) -> int:
        """Of them, trials that were stopped early."""
        return self.ended[arm, True]

    @property
    def all_planned(self) -> int:
        """Trials of all arms."""
        return sum(self.planned.values())

    def seconds_left(self, arm: str) -> float | None:
        """Worker seconds an arm still needs; ``None`` before any trial has ended."""
        mine = self.spent.get(arm)
        seen = [mine] if mine else list(self.spent.values())
        trials = sum(spent.trials for spent in seen)
        if not trials:
            return None
        usual = sum(spent.seconds for spent in seen) / trials
        running = [r.seconds_left(usual) for r in self.running.values() if r.trial.arm == arm]
        waiting = max(0, self.planned[arm] - self.done(arm) - len(running))
        return waiting * usual + sum(running)

    @property
    def eta(self) -> float | None:
        """Seconds until the last trial ends, or the time budget if that is sooner."""
        if not self.workers or self.over:
            return None
        parts = [self.seconds_left(arm) for arm in self.planned]
        known = [part for part in parts if part is not None]
        ends = [sum(known) / self.workers] if known else []
        if self.deadline is not None:
            ends.append(max(0.0, self.deadline - time.perf_counter()))
        return min(ends, default=None)


def _place(record: TrialRecord) -> tuple[str, bool]:
    return record.arm, record.status is Status.PRUNED


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
