from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from bench.cli import leaderboard as watch_board
from bench.cli.leaderboard import Follower, watch_leaderboard
from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from bench.storage.ledger import AtWork, Ledger
from tests.helpers.asking import ACCURACIES, Command
from tests.helpers.folders import write_run
from tests.helpers.records import trial


def test_only_changed_records_are_read_again(folder: Path, simulated: Run, tmp_path: Path) -> None:
    ledger = Ledger(write_run(tmp_path / "run", simulated))
    follower = Follower(ledger)
    before = {r.fingerprint: r for r in follower.look().run.searched}
    changed = simulated.searched[0].model_copy(update={"peak_bytes": 1})
    ledger.write(changed)
    after = {r.fingerprint: r for r in follower.look().run.searched}

    assert {key for key in before if after[key] is not before[key]} == {changed.fingerprint}
    assert after[changed.fingerprint].peak_bytes == 1


def test_records_that_cannot_be_read_are_counted_and_half_written_ones_are_not_there(
    simulated: Run, tmp_path: Path
) -> None:
    ledger = Ledger(write_run(tmp_path / "run", simulated))
    first, second, *_ = sorted((tmp_path / "run" / "trials").iterdir())
    first.write_bytes(first.read_bytes()[:100])
    second.rename(second.with_name(f".{second.name}.tmp"))
    look = Follower(ledger).look()

    assert look.unreadable == 1
    assert len(look.run.searched) + len(look.run.confirmed) == 27 - 2
    assert "1 records cannot be read, not running" in look.heading


def sweep_for_a_moment(ledger: Ledger, records: list[TrialRecord]) -> threading.Thread:
    """Something that holds the lock and ends trials, as a sweep does."""
    has_begun = threading.Event()

    def work() -> None:
        with ledger.lock():
            for record in records:
                mark = AtWork(trial=record.trial, fingerprint=record.fingerprint, attempt=1,
                              deaths=0)  # fmt: skip
                ledger.begin(mark)
                has_begun.set()
                time.sleep(0.3)
                ledger.write(record)

    thread = threading.Thread(target=work)
    thread.start()
    assert has_begun.wait(5)
    return thread


@pytest.fixture
def young(simulated: Run, tmp_path: Path) -> Ledger:
    """A run that has just begun."""
    study = simulated.study.model_copy(update={"planned": dict.fromkeys(ACCURACIES, 1)})
    return Ledger(write_run(tmp_path / "young", Run(study=study, searched=())))


def test_a_watched_run_is_written_once_per_change_until_its_command_ends(
    command: Command, young: Ledger
) -> None:
    records = [trial("lora", right=300), trial("linear", right=150)]
    sweep = sweep_for_a_moment(young, records)
    code, output, _ = command("leaderboard", young.folder, "--watch", "--every", "0.02s")
    sweep.join()

    assert code == 0
    assert "\x1b" not in output
    headings = re.findall(r"^demo: (.*)$", output, re.MULTILINE)
    assert headings[0] == "0/3 trials, running"
    assert headings[-1] == "2/3 trials, not running"
    assert len(headings) == len(set(re.split(r"(?=^demo: )", output, flags=re.MULTILINE)) - {""})
    assert "at work: lora-000" in output
    assert "0.600" in output


def test_a_sweep_that_has_not_stated_its_study_yet_is_waited_for(
    command: Command, simulated: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "run")
    pauses = iter(range(10))

    def wait(_: float) -> None:
        if next(pauses) == 1:
            ledger.write_study(simulated.study)
            lock.close()

    monkeypatch.setattr(time, "sleep", wait)
    with contextlib.ExitStack() as lock:
        lock.enter_context(ledger.lock())
        code, output, _ = command("leaderboard", ledger.folder, "--watch")

    assert code == 0
    assert "0/12 trials, not running" in output


def test_on_a_terminal_one_view_is_drawn_again(
    young: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Console(force_terminal=True, width=110, file=io.StringIO(), legacy_windows=False)
    monkeypatch.setattr(watch_board, "out", screen)
    sweep = sweep_for_a_moment(young, [trial("lora", right=300)])
    assert watch_leaderboard(young.folder, None, "0.02s") == 0
    sweep.join()

    drawn = screen.file.getvalue()  # type: ignore[attr-defined]
    last = drawn[drawn.rindex("1/3 trials") :]
    assert "\x1b[1A" in drawn  # up again, over the last view
    assert "not running" in last
    assert "0.600" in last


def test_ctrl_c_ends_the_watch_in_peace(
    command: Command, young: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with young.lock():
        assert command("leaderboard", young.folder, "--watch")[0] == 0
