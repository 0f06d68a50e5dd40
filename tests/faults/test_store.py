"""Run folders in an object store, and commands that share a study: nothing lost, none twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.harness import PARETUNE, Play, until
from tests.helpers.stores import BUCKET, Store, s3_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PLACE = f"s3://{BUCKET}/run"


@pytest.fixture
def store() -> Iterator[Store]:
    with s3_store() as running:
        yield running


def records_of(store: Store) -> dict[str, dict[str, Any]]:
    """Record per trial; every one has to be whole."""
    paths = store.files.glob(f"{BUCKET}/run/trials/*.json")
    contents = store.files.cat(paths) if paths else {}
    found = [json.loads(content) for content in contents.values()]
    return {f"{record['arm']}-{record['number']}": record for record in found}


def test_a_sweep_into_a_store_is_killed_and_goes_on_where_it_stopped(
    tmp_path: Path, store: Store
) -> None:
    play = Play(tmp_path, {"waiting": "waits", "sound": "none"})
    sweep = play.start("--out", PLACE, **store.environment)
    until(lambda: play.began == 1 and len(records_of(store)) == 1)
    kept = records_of(store)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    said = play.paretune("status", PLACE, **store.environment).stdout
    assert "not running" in said
    assert "interrupted: waiting-000" in said

    play.go()
    done = play.sweep("--out", PLACE, **store.environment)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 in the ledger" in done.stdout
    now = records_of(store)
    assert {trial: record["status"] for trial, record in now.items()} == {
        "waiting-0": "completed",
        "sound-0": "completed",
    }
    assert now["sound-0"]["environment"] == kept["sound-0"]["environment"]
    assert now["sound-0"]["seconds"] == kept["sound-0"]["seconds"]  # not run again
    names = store.files.find(f"{BUCKET}/run")
    assert sum(name.endswith(".safetensors") for name in names) == 2
    assert f"{BUCKET}/run/report/report.html" in names
    assert not any("/working/" in name or name.endswith("lock") for name in names)
    board = play.paretune("leaderboard", PLACE, **store.environment)
    assert "waiting" in board.stdout


def test_a_second_command_on_a_place_in_use_is_refused(tmp_path: Path, store: Store) -> None:
    play = Play(tmp_path, {"waiting": "waits"})
    first = play.start("--out", PLACE, **store.environment)
    until(lambda: play.began == 1)
    second = play.sweep("--out", PLACE, **store.environment)
    assert second.returncode == 2
    assert f"{PLACE}: another paretune command is writing here" in second.stderr
    play.go()
    assert first.wait(120) == 0, play.log


def test_a_store_that_does_not_let_in_is_told_before_anything_runs(
    tmp_path: Path, store: Store
) -> None:
    play = Play(tmp_path, {"sound": "none"})
    done = play.sweep("--out", "s3://elsewhere/run", **store.environment)
    assert done.returncode == 1
    assert "s3://elsewhere/run" in done.stderr
    assert "Traceback" not in done.stderr


def start(play: Play, share: str, place: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PARETUNE, "sweep", "play.yaml", "--out", place, "--workers", "1", "--shard", share],
        cwd=play.folder,
        env=play.environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("sampler", "confirm", "in_store"),
    [("random", 2, False), ("tpe", 0, False), ("random", 0, True)],
)
def test_two_shares_of_a_study_run_at_the_same_time_are_the_study(
    tmp_path: Path, store: Store, sampler: str, confirm: int, in_store: bool
) -> None:
    play = Play(tmp_path, {"a": "none", "b": "none"}, trials=4, sampler=sampler, confirm=confirm)
    place = PLACE if in_store else "run"
    both = [start(play, share, place, **store.environment) for share in ("1/2", "2/2")]
    said = [process.communicate(timeout=240)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert sum(" test accuracy 0." in text for text in said) == 1, said  # one of the two closes
    if in_store:
        store.files.get(f"{BUCKET}/run", str(play.run), recursive=True)
    found = [json.loads(path.read_bytes()) for path in (play.run / "trials").glob("*.json")]
    searched = [record for record in found if record["confirms"] is None]
    assert sorted((record["arm"], record["number"]) for record in searched) == [
        (arm, number) for arm in "ab" for number in range(4)
    ]
    assert all(record["attempts"] == 1 for record in found)
    started = [line.split()[1] for text in said for line in text.splitlines() if " started" in line]
    assert len(started) == len(set(started)) == len(found)
    assert (play.run / "report" / "report.md").exists()
    assert "--shard" not in json.loads((play.run / "study.json").read_bytes())["command"]

    whole = play.paretune("sweep", "play.yaml", "--out", "whole")
    assert whole.returncode == 0
    paths = (play.folder / "whole" / "trials").glob("*.json")
    unshared = [json.loads(path.read_bytes()) for path in paths]
    same = {r["fingerprint"] for r in unshared} == {r["fingerprint"] for r in found}
    assert same or sampler == "tpe"  # which learns from what it sees


def test_a_share_whose_sisters_are_missing_says_so_and_the_whole_takes_over(
    tmp_path: Path,
) -> None:
    play = Play(tmp_path, {"a": "none", "b": "none"}, trials=2)
    first = play.sweep("--shard", "1/2")
    assert first.returncode == 0, first.stderr
    assert "2 planned trials of the whole search have not ended" in first.stdout
    assert len(play.records) == 2
    assert not (play.run / "frozen.json").exists()

    other = play.sweep("--shard", "1/3", "--dry-run")
    assert other.returncode == 0
    rest = play.sweep()
    assert rest.returncode == 0
    assert len(play.records) == 4
    again = play.sweep("--shard", "2/2")
    assert again.returncode == 0
    assert "0 at a time" in again.stdout


def test_a_share_that_is_none_is_refused_with_everything_else(tmp_path: Path) -> None:
    play = Play(tmp_path, {"sound": "none"})
    refused = play.sweep("--shard", "3/2", "--gpus-per-trial", "many", "--out", "nowhere://x")
    assert refused.returncode == 2
    for said in ("--shard 3/2", "--gpus-per-trial many", "nowhere://x"):
        assert said in refused.stderr
