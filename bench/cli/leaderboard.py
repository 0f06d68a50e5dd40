"""The command ``paretune leaderboard``: printed once, or watched while a run is written."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from bench.cli.console import SUCCESS, out
from bench.errors import InputError
from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from bench.storage.files import Location, read_records
from bench.storage.ledger import AtWork, Ledger
from bench.units import duration_of
from reports.escape import plain
from reports.text.terminal import leaderboard_view


def show_leaderboard(folder: Location, sort: str | None) -> int:
    """Prints the leaderboard of a run folder."""
    out.print(leaderboard_view(Ledger(folder).run(), sort))
    return SUCCESS


EVERY = 2.0
"""Seconds between two looks."""


@dataclass(frozen=True, kw_only=True)
class RunView:
    """What a run folder held at one moment.

    Attributes:
        run: its records.
        at_work: trials that had begun and not ended.
        unreadable: files of records that could not be read.
        running: whether a command was at work.
    """

    run: Run
    at_work: tuple[AtWork, ...]
    unreadable: int
    running: bool

    @property
    def heading(self) -> str:
        """How far it is, in words."""
        study = self.run.study
        done, wanted = self.run.fresh_trials
        parts = [f"{len(self.run.searched)}/{sum(study.planned.values())} trials"]
        if wanted:
            parts.append(f"{done}/{wanted} with fresh seeds")
        if self.unreadable:
            parts.append(f"{self.unreadable} records cannot be read")
        parts.append("running" if self.running else "not running")
        return f"{study.name}: {', '.join(parts)}"


class Follower:
    """Looks at a run folder again and again, and reads only the records that have changed.

    Args:
        ledger: the run folder.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stamps: dict[Location, tuple[object, ...]] = {}
        self._records: dict[Location, TrialRecord | str] = {}

    def look(self) -> RunView:
        """What it holds now. Records that have not changed are the same objects as before.

        Raises:
            LedgerError: it is no run folder.
        """
        running = self._ledger.locked  # asked first: what is read once it has ended is whole
        study = self._ledger.study()
        self._read()
        records = [found for found in self._records.values() if isinstance(found, TrialRecord)]
        return RunView(
            run=Run.of(study, records, self._ledger.freeze()),
            at_work=tuple(one for one in self._ledger.at_work() if one.attempt),
            unreadable=sum(isinstance(found, str) for found in self._records.values()),
            running=running,
        )

    def _read(self) -> None:
        stamps = self._ledger.trial_files()
        changed = [path for path, stamp in stamps.items() if self._stamps.get(path) != stamp]
        known = self._records | read_records(changed)
        self._records = {path: known[path] for path in stamps}
        self._stamps = stamps


def watch_leaderboard(folder: Location, sort: str | None, every: str | None) -> int:
    """Shows the leaderboard of a run until its command ends, or a person ends this one.

    A terminal shows one view that is drawn again; elsewhere every change is written below the
    last.

    Args:
        folder: the run folder.
        sort: a metric, see ``reports.text.terminal``.
        every: time between two looks, as text.

    Raises:
        InputError: it is no run folder, or an option does not fit.
    """
    pause = _pause(every)
    ledger = Ledger(folder)
    ledger.check_inside()
    follower = Follower(ledger)
    last: RunView | None = None
    with contextlib.suppress(KeyboardInterrupt), _screen() as live:
        while ledger.locked and not ledger.is_stated:
            time.sleep(pause)  # a sweep that has just begun looks at model and questions first
        while last is None or last.running:
            if last is not None:
                time.sleep(pause)
            look = follower.look()
            if look != last:
                _show(look, sort, live)
            last = look
    return SUCCESS


def _pause(every: str | None) -> float:
    problems: list[str] = []
    pause = duration_of("--every", every, problems)
    if problems:
        raise InputError(*problems)
    return pause or EVERY


def _screen() -> contextlib.AbstractContextManager[Live | None]:
    """Where the view is drawn again; nowhere without a terminal."""
    if not out.is_terminal:
        return contextlib.nullcontext()
    return Live(console=out, auto_refresh=False)


def _show(look: RunView, sort: str | None, live: Live | None) -> None:
    if live:
        live.update(_view(look, sort), refresh=True)
    else:
        out.print(_view(look, sort))
        out.print()


def _view(look: RunView, sort: str | None) -> RenderableType:
    parts: list[RenderableType] = [Text(plain(look.heading), "bold")]
    if look.at_work:
        said = "at work" if look.running else "interrupted"
        names = (
            one.trial if one.attempt == 1 else f"{one.trial} (attempt {one.attempt})"
            for one in look.at_work
        )
        parts.append(Text(plain(f"{said}: {', '.join(names)}"), "cyan"))
    return Group(*parts, "", leaderboard_view(look.run, sort))
