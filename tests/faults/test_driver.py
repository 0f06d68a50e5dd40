"""The command itself dies, is stopped, is started twice, or loses Ray: nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.helpers.harness import Play, children, until

pytestmark = pytest.mark.ray


def play_of_twelve(folder: Path) -> Play:
    """Two arms of six trials, each of which takes half a second and a little more."""
    folder.mkdir(exist_ok=True)
    return Play(folder, {"first": "drags", "second": "drags"}, trials=6)


def best(play: Play) -> tuple[float, str]:
    """Accuracy and fingerprint of the best trial."""
    return max((r["accuracy"]["validation"], r["fingerprint"]) for r in play.records.values())


def kill_and_go_on(play: Play, moments: list[float]) -> None:
    """Kills the driver after so many seconds each time, then lets it end."""
    for moment in moments:
        sweep = play.start()
        try:
            sweep.wait(moment)
        except Exception:  # noqa: BLE001 - not ended yet, as is meant
            os.kill(sweep.pid, signal.SIGKILL)
            sweep.wait()
        assert set(play.statuses.values()) <= {"completed"}
    assert play.start().wait(120) == 0, play.log


@pytest.mark.slow
def test_f04_a_driver_killed_ten_times_at_random_runs_every_trial_once(tmp_path: Path) -> None:
    undisturbed = play_of_twelve(tmp_path / "undisturbed")
    assert undisturbed.sweep().returncode == 0
    play = play_of_twelve(tmp_path / "killed")
    generator = random.Random(4)
    kill_and_go_on(play, [generator.uniform(0.5, 8) for _ in range(10)])
    assert len(play.records) == 12
    assert play.statuses.keys() == undisturbed.statuses.keys()
    assert {t: r["fingerprint"] for t, r in play.records.items()} == {
        t: r["fingerprint"] for t, r in undisturbed.records.items()
    }
    assert best(play) == best(undisturbed)
    leftovers = [path.name for path in play.run.rglob("*") if path.name.endswith(".tmp")]
    assert leftovers == []
    assert list((play.run / "working").iterdir()) == []


@pytest.mark.slow
def test_f04_f05_f06_f12_a_supervised_sweep_is_killed_locked_stopped_and_completed(
    tmp_path: Path,
) -> None:
    play = Play(tmp_path, {"waiting": "waits", "sound": "none"})
    supervisor = play.start("--supervise")
    until(lambda: play.began == 1 and len(play.records) == 1)
    kept = play.records["sound-0"]
    (driver,) = [p for p, command in children(supervisor.pid).items() if " -m bench " in command]
    os.kill(driver, signal.SIGKILL)  # F4
    until(lambda: play.began == 2)
    assert "the sweep died (signal 9)" in play.log
    assert "1 in the ledger" in play.log
    assert "; running" in play.paretune("status", "run").stdout

    second = play.sweep()  # F12: while the first is at work
    assert second.returncode == 2
    assert "another paretune command is writing here" in second.stderr

    supervisor.send_signal(signal.SIGTERM)  # F5: passed on by the supervisor
    assert supervisor.wait(60) == 130, play.log
    assert "PARTIAL" in play.report
    told = play.paretune("status", "run").stdout
    assert "1 of 2 planned trials have ended; not running" in told
    assert "interrupted: waiting-000 (attempt 1)" in told
    assert "go on with: paretune sweep play.yaml --out run --supervise" in told
    assert play.records == {"sound-0": kept}

    (record,) = (play.run / "trials").glob("*.json")  # F6: half of it
    record.write_bytes(record.read_bytes()[:300])
    (play.run / "trials" / ".half.tmp").write_bytes(b"{")
    play.go()
    rest = play.sweep()
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert f"{record.name} was damaged" in rest.stdout
    assert play.statuses == {"waiting-0": "completed", "sound-0": "completed"}
    assert play.records["sound-0"]["fingerprint"] == kept["fingerprint"]
    assert record.with_suffix(".json.damaged").exists()
    assert not list((play.run / "trials").glob(".*"))
    assert list((play.run / "working").iterdir()) == []
    assert "PARTIAL" not in play.report


@pytest.mark.slow
def test_f08_a_sweep_that_lost_ray_is_started_again_by_its_supervisor(tmp_path: Path) -> None:
    play = Play(tmp_path, {"waiting": "waits", "sound": "none"})
    supervisor = play.start("--supervise", RAY_gcs_rpc_server_reconnect_timeout_s="3")
    until(lambda: play.began == 1 and len(play.records) == 1)
    (server,) = [p for p, command in children(supervisor.pid).items() if "gcs_server" in command]
    os.kill(server, signal.SIGKILL)
    until(lambda: play.began == 2, 120)
    play.go()
    assert supervisor.wait(150) == 0, play.log
    assert "the sweep died" in play.log
    assert play.statuses == {"waiting-0": "completed", "sound-0": "completed"}


@pytest.mark.slow
def test_f12_the_lock_of_a_killed_command_does_not_stand_in_the_way(tmp_path: Path) -> None:
    play = Play(tmp_path, {"waiting": "waits"})
    sweep = play.start()
    until(lambda: play.began)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    assert (play.run / ".lock").exists()
    play.go()
    assert play.sweep().returncode == 0


@pytest.mark.slow
def test_f16_changed_data_is_kept_apart_and_told(tmp_path: Path) -> None:
    play = Play(tmp_path, {"sound": "none"})
    assert play.sweep().returncode == 0
    (before,) = play.records.values()
    path = tmp_path / "data" / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    again = play.sweep()
    assert again.returncode == 0, again.stderr
    assert "1 records of other settings, data or code are in this run folder" in again.stdout
    records = [path.stem for path in (play.run / "trials").glob("*.json")]
    assert len(records) == 2
    assert before["fingerprint"] in records


def test_f17_durations_are_right_when_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strategies.bitfit import BitFit
    from tests.helpers.trials import make_spec, make_workbench, run

    hours = iter(range(10**6, 0, -1))
    monkeypatch.setattr(time, "time", lambda: float(next(hours) * 3600))
    monkeypatch.setattr(time, "time_ns", lambda: next(hours) * 3600 * 10**9)
    record = run(make_spec(BitFit()), make_workbench(), tmp_path).record
    assert record.seconds is not None
    spans = record.seconds.model_dump(exclude={"device_shared", "lost", "compile"})  # not compiled
    assert all(0 < span < 60 for span in spans.values())
