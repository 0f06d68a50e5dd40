"""Trials that fail, die, hang, diverge or eat memory, beside sound ones on persistent workers."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bench.records.scrub import HIDDEN
from tests.helpers.harness import Play, children, install, until

pytestmark = pytest.mark.ray

ARMS = {
    "sound": "none",
    "broken": "raises",
    "poisoned": "poisons",
    "fragile": "dies_once",
    "deadly": "dies",
    "stuck": "hangs",
    "greedy": "eats",
    "crowded": "fills_the_gpu",
    "teller": "tells",
}
CANARY = "canary-4f9c1e7b2d"
GROUP = "[paretune.strategies]\n"
PLUG_INS = {
    "paretune_broken": ("import nowhere_to_be_found\n", "broken = paretune_broken:It\n"),
    "paretune_thief": ("class LoRA: ...\n", "lora = paretune_thief:LoRA\n"),
    "paretune_empty": ("It = 3\n", "empty = paretune_empty:It\n"),
}
Done = tuple[Play, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    play = Play(tmp_path_factory.mktemp("trials"), ARMS)
    for name, (source, entry) in PLUG_INS.items():
        install(play.site, name, source, GROUP + entry)
    secrets = {"CANARY_TOKEN": CANARY, "MY_PASSWORD": f"with-{CANARY}"}
    return play, play.sweep("--trial-timeout", "7s", "--name", f"of-{CANARY}", **secrets)


def test_every_fault_is_a_row_and_the_others_are_unaffected(done: Done) -> None:
    play, sweep = done
    assert sweep.returncode == 1, sweep.stdout + sweep.stderr
    assert play.statuses == {
        "sound-0": "completed",
        "broken-0": "failed",
        "poisoned-0": "diverged",
        "fragile-0": "completed",
        "deadly-0": "quarantined",
        "stuck-0": "timed_out",
        "greedy-0": "out_of_memory",
        "crowded-0": "out_of_memory",
        "teller-0": "failed",
    }
    assert all(
        record["reason"] for record in play.records.values() if record["status"] != "completed"
    )
    assert "Traceback" not in sweep.stderr


def test_f01_a_trial_whose_worker_was_killed_is_tried_again(done: Done) -> None:
    record = done[0].records["fragile-0"]
    assert record["attempts"] == 2
    assert record["seconds"]["lost"] > 0
    assert "fragile-000 lost its worker and begins again" in done[1].stdout


def test_f01_a_configuration_that_killed_two_workers_is_put_in_quarantine(done: Done) -> None:
    record = done[0].records["deadly-0"]
    assert record["attempts"] == 2
    assert record["reason"].startswith("its worker died 2 times, so it is not tried again: ")


def test_f02_a_strategy_that_raises_is_failed_with_its_traceback(done: Done) -> None:
    record = done[0].records["broken-0"]
    assert record["reason"] == "ValueError: broken on purpose"
    assert 'raise ValueError("broken on purpose")' in record["traceback"]
    assert record["attempts"] == 1


def test_f03_a_loss_that_is_no_number_is_diverged(done: Done) -> None:
    assert done[0].records["poisoned-0"]["reason"] == "the loss became nan at step 0"


def test_f09_a_trial_out_of_memory_ends_alone_with_its_batch_size(done: Done) -> None:
    for trial in ("greedy-0", "crowded-0"):
        record = done[0].records[trial]
        assert record["reason"].startswith("batch of 16 questions does not fit: ")
        assert record["attempts"] == 1


def test_f13_a_hung_trial_is_ended_and_says_where_it_hung(done: Done) -> None:
    record = done[0].records["stuck-0"]
    assert record["reason"] == "took longer than --trial-timeout 7 s"
    assert record["attempts"] == 1
    assert "in _hangs" in record["traceback"]


def test_f15_plug_ins_that_cannot_be_used_are_named(done: Done) -> None:
    for fault in (
        "plug-in 'broken' was left out: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        "plug-in 'lora' was left out: the name is taken by another plug-in",
        "plug-in 'empty' was left out: ",
    ):
        assert fault in done[1].stderr


def test_s07_no_secret_reaches_the_run_folder_or_the_terminal(done: Done) -> None:
    play, sweep = done
    assert play.records["teller-0"]["reason"] == f"ValueError: could not log in with {HIDDEN}"
    written = [path for path in play.run.rglob("*") if path.is_file()]
    assert len(written) > 15
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in sweep.stdout + sweep.stderr


def test_s08_no_report_names_this_machine_its_folders_or_its_people(done: Done) -> None:
    play, _ = done
    people = {getpass.getuser()} - {"root"}  # a word that a report may hold anyway
    for path in (play.run / "report").iterdir():
        assert str(play.folder).encode() not in path.read_bytes(), path
        if path.suffix in {".md", ".csv"}:
            text = path.read_text(encoding="utf-8")
            names = {str(Path.home()), socket.gethostname(), *people}
            assert [n for n in names if re.search(rf"(?<!\w){re.escape(n)}\b", text)] == [], path


def test_the_status_of_a_run_tells_each_end_and_the_command_that_goes_on(done: Done) -> None:
    play, _ = done
    told = play.paretune("status", "run")
    assert told.returncode == 0, told.stderr
    assert "9 of 9 planned trials have ended; not running" in told.stdout
    assert "deadly-000 quarantined: its worker died 2 times" in told.stdout
    assert "go on with: paretune sweep play.yaml --name 'of-***' --out run" in told.stdout
    document = json.loads(play.paretune("status", "run", "--json").stdout)
    assert (document["missing"], document["again"], document["at_work"]) == (0, 3, [])


@pytest.mark.slow
def test_what_may_have_been_an_accident_runs_again_and_nothing_else(done: Done) -> None:
    play, _ = done
    again = play.sweep("--trial-timeout", "5s")
    started = {line.split()[1] for line in again.stdout.splitlines() if " started" in line}
    assert started == {"broken-000", "stuck-000", "teller-000"}


@pytest.mark.slow
def test_f13_a_worker_that_is_frozen_is_killed_from_outside(tmp_path: Path) -> None:
    play = Play(tmp_path, {"frozen": "freezes", "sound": "none"})
    play.sweep("--trial-timeout", "2s")
    assert play.statuses == {"frozen-0": "timed_out", "sound-0": "completed"}


@pytest.mark.slow
def test_f01_a_worker_killed_from_outside_costs_one_attempt(tmp_path: Path) -> None:
    play = Play(tmp_path, {"waiting": "waits", "sound": "none"})
    sweep = play.start()
    until(lambda: play.began)
    workers = [
        process
        for process, command in children(sweep.pid).items()
        if command.startswith("ray::") and ".train" in command
    ]
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    until(lambda: play.began == 2)
    play.go()
    assert sweep.wait(60) == 0, play.log
    assert play.statuses == {"waiting-0": "completed", "sound-0": "completed"}
    assert play.records["waiting-0"]["attempts"] == 2


@pytest.mark.slow
def test_workers_whose_trials_end_in_the_same_instant_all_serve_on(tmp_path: Path) -> None:
    play = Play(tmp_path, {"meeting": "meets"}, trials=24)
    assert play.sweep("--cpus-per-trial", "0.5").returncode == 0

    served = Counter((tmp_path / "workers").read_text(encoding="utf-8").split())
    assert sum(served.values()) == 24 + 1  # the best is scored at the end
    assert len(served) == 4


@pytest.mark.slow
def test_f01_without_retries_the_first_death_ends_a_trial(tmp_path: Path) -> None:
    play = Play(tmp_path, {"fragile": "dies_once"})
    assert play.sweep("--max-retries", "0").returncode == 1
    record = play.records["fragile-0"]
    assert (record["status"], record["attempts"]) == ("failed", 1)
    assert play.sweep("--max-retries", "0").returncode == 0
    assert play.statuses == {"fragile-0": "completed"}
