from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from bench.cli import event_log as feed
from bench.cli.live_view import Scene, View, watch
from bench.records.events import Ended, EpochDone, Event, Frozen, Opened, Scored, Started
from tests.bench.records.test_events import EVENTS, FREEZE, TRIAL
from tests.helpers.records import study, trial

DONE = trial("lora", number=1, right=300, test=290, fingerprint=TRIAL.fingerprint)
KEPT = tuple(trial("full", number=n, right=280, fingerprint=f"{n:016x}") for n in range(30))
RUN: tuple[Event, ...] = (
    Opened(
        study=study(("full", "lora"), planned=40),
        planned={"full": 40, "lora": 40},
        kept=KEPT,
        workers=2,
    ),
    Started(trial=TRIAL, attempt=1),
    EpochDone(trial=TRIAL, epoch=2, validation=0.512),
    Ended(record=DONE.model_copy(update={"test": None})),
    Frozen(freeze=FREEZE, kept=(), workers=1),
    Scored(record=DONE),
)


def drawn(scene: Scene) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(View(scene))
    return re.sub(r"\d+\.\ds", "some s", console.export_text())  # the clock goes on meanwhile


def fed(monkeypatch: pytest.MonkeyPatch, *events: Event) -> list[str]:
    """The log of a run whose output is followed."""
    monkeypatch.setenv(feed.FOLLOWED, "1")
    log = io.StringIO()
    with watch(live=False, console=Console(width=120, file=log)) as observe:
        for event in events:
            observe(event)
    return log.getvalue().splitlines(keepends=True)


@pytest.mark.parametrize("count", range(1, len(RUN) + 1))
def test_a_log_shows_what_the_run_has_shown(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    here, there = Scene(), Scene()
    for event in RUN[:count]:
        here.take(event)
    for line in fed(monkeypatch, *RUN[:count]):
        told = feed.read(line).told
        assert told is not None
        there.take(told.event)

    assert there.records == here.records
    assert there.planned == here.planned
    assert drawn(there) == drawn(here)


def test_the_lines_a_person_reads_are_those_of_any_log(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=plain) as observe:
        for event in RUN[1:3]:
            observe(event)
    followed = [feed.read(line).text for line in fed(monkeypatch, *RUN[1:3])]

    assert [text.split(" ", 1)[1] for text in followed] == [
        line.split(" ", 1)[1] for line in plain.export_text().splitlines()
    ]


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "\t@{}", "x\t@no JSON", ""])
def test_lines_that_are_no_events_are_text(line: str) -> None:
    read = feed.read(f"{line}\n")

    assert read.told is None
    assert read.text == line.partition(feed.MARK)[0]


def test_what_has_happened_before_is_as_old_as_it_is() -> None:
    scene = Scene()
    scene.take(RUN[0], age=100)
    scene.take(EVENTS[1], age=90)
    scene.take(Ended(record=DONE), age=30)

    assert scene.spent["lora"].trials == 1
    assert scene.spent["lora"].seconds == pytest.approx(60, abs=1)
    scene.take(EVENTS[1], age=20)
    assert time.perf_counter() - scene.running[TRIAL.fingerprint].began == pytest.approx(20, abs=1)
