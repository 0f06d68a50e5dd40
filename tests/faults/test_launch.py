"""Studies launched on a cluster of three nodes: followed, left alone, stopped, fetched."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.harness import PARETUNE, Play, until
from tests.helpers.nodes import Nodes, make_token

pytestmark = [pytest.mark.ray, pytest.mark.slow]

WAITING = {"here": "waits", "there": "waits"}


class Stage:
    """A cluster, and a folder from which studies are launched on it.

    Args:
        play: model, data and plug-in.
        nodes: the cluster, whose workers mark what they do in the same folder.
    """

    def __init__(self, play: Play, nodes: Nodes) -> None:
        self.play = play
        self.nodes = nodes

    def command(self, verb: str, *words: str) -> list[str]:
        return [*PARETUNE, verb, *words]

    def launch(self, name: str, *options: str) -> list[str]:
        return self.command("launch", f"{name}.yaml", "--cluster", self.nodes.job_server, *options)

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.play.folder,
            env=self.nodes.environment(**more),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """Begins a command whose output goes to a file."""
        with (self.play.folder / "log.txt").open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                command,
                cwd=self.play.folder,
                env=self.nodes.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def there(self, name: str) -> Path:
        """The run folder of a study on the cluster."""
        return self.nodes.home / "paretune-runs" / name

    def forget(self) -> None:
        """Takes away what trials that wait have left."""
        for mark in ("go", "began"):
            (self.play.folder / mark).unlink(missing_ok=True)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of a run folder by fingerprint."""
    found = [json.loads(path.read_bytes()) for path in (folder / "trials").glob("*.json")]
    return {record["fingerprint"]: record for record in found}


def results(folder: Path) -> dict[str, Any]:
    """What of every trial is not a time."""
    return {
        name: (record["arm"], record["status"], record["accuracy"], record["test"])
        for name, record in records(folder).items()
    }


def board(folder: Path) -> list[Mapping[str, str]]:
    """Ranks and accuracies of a report."""
    text = (folder / "report" / "leaderboard.csv").read_text(encoding="utf-8")
    kept = ("rank", "arm", "test_accuracy", "test_low", "test_high", "better_than_next")
    return [
        {key: value for key, value in row.items() if key in kept}
        for row in csv.DictReader(text.splitlines())
    ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("launched")
    play = Play(folder, {"one": "none", "two": "none"}, trials=2, confirm=2)
    ours = {key: play.environment()[key] for key in ("PYTHONPATH", "MARKS")}
    with Nodes(folder, environment=ours) as nodes:
        yield Stage(play, nodes)


@pytest.fixture
def stage(cluster: Stage) -> Stage:
    cluster.forget()
    return cluster


def test_a_launched_study_finds_what_it_finds_at_home(stage: Stage) -> None:
    launched = stage.run(stage.launch("play"))
    assert launched.returncode == 0, launched.stdout + launched.stderr
    at_home = stage.play.sweep("--workers", "2")
    assert at_home.returncode == 0, at_home.stdout + at_home.stderr

    assert "\t@{" not in launched.stdout
    assert "one-000 completed: validation" in launched.stdout
    assert results(stage.there("play")) == results(stage.play.run)
    assert board(stage.there("play")) == board(stage.play.run)
    again = stage.run(stage.launch("play"))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "4 trials planned, 4 in the ledger; 0 at a time" in again.stdout


def test_a_job_outlives_the_terminal_that_launched_it(stage: Stage) -> None:
    stage.play.write_study("left", WAITING, confirm=0)
    terminal = stage.start(stage.launch("left"))
    until(lambda: stage.play.began == 2, 120)
    until(lambda: "here-000 started" in stage.play.log, 30)
    terminal.send_signal(signal.SIGKILL)
    terminal.wait(30)

    other = stage.start(stage.command("attach"))
    until(lambda: "here-000 started" in stage.play.log, 60)
    stage.play.go()
    assert other.wait(120) == 0, stage.play.log
    assert "here-000 completed" in stage.play.log

    fetched = stage.run(stage.command("fetch", "--to", "brought"))
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    brought = stage.play.folder / "brought"
    assert records(brought) == records(stage.there("left"))
    assert not (brought / "checkpoints").exists()
    assert stage.run(stage.command("report", "brought")).returncode == 0
    listed = stage.run(stage.command("jobs"))
    assert "left" in listed.stdout
    assert "succeeded" in listed.stdout


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_go_on(stage: Stage) -> None:
    stage.play.write_study("alone", WAITING, confirm=0)
    terminal = stage.start(stage.launch("alone"))
    until(lambda: "here-000 started" in stage.play.log, 120)
    terminal.send_signal(signal.SIGINT)
    assert terminal.wait(60) == 130
    for verb in ("attach", "stop", "fetch"):
        assert f"paretune {verb} alone-" in stage.play.log

    stage.play.go()
    attached = stage.run(stage.command("attach"))
    assert attached.returncode == 0, attached.stdout + attached.stderr


def test_trials_of_a_node_that_is_lost_move_on(stage: Stage) -> None:
    stage.play.write_study("moving", WAITING, trials=2, confirm=0)
    terminal = stage.start(stage.launch("moving"))
    until(lambda: stage.play.began == 2, 120)
    stage.nodes.kill("first")
    stage.nodes.add("third")
    until(lambda: stage.play.began == 3, 120)
    stage.play.go()
    assert terminal.wait(180) == 0, stage.play.log

    found = records(stage.there("moving"))
    assert [record["status"] for record in found.values()] == ["completed"] * 4
    assert sorted(record["attempts"] for record in found.values()) == [1, 1, 1, 2]
    (moved,) = (record for record in found.values() if record["attempts"] == 2)
    assert moved["seconds"]["lost"] > 0


def test_a_stopped_job_leaves_a_partial_report_and_a_further_launch_completes_it(
    stage: Stage,
) -> None:
    stage.play.write_study("halted", {"sound": "none", **WAITING}, confirm=0)
    detached = stage.run(stage.launch("halted", "--detach"))
    assert detached.returncode == 0, detached.stdout + detached.stderr
    until(lambda: stage.play.began == 2, 120)
    stopped = stage.run(stage.command("stop"))
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "PARTIAL" in (stage.there("halted") / "report" / "report.md").read_text("utf-8")
    assert stage.run(stage.command("attach")).returncode == 130

    stage.play.go()
    launched = stage.run(stage.launch("halted"))
    assert launched.returncode == 0, launched.stdout + launched.stderr
    assert len(records(stage.there("halted"))) == 3
    assert "PARTIAL" not in (stage.there("halted") / "report" / "report.md").read_text("utf-8")


@pytest.mark.parametrize(("who", "why"), [("visitor", "(401)"), ("stranger", "(403)")])
def test_who_has_no_token_or_a_wrong_one_is_told_so(
    stage: Stage, tmp_path: Path, who: str, why: str
) -> None:
    home = tmp_path / who
    home.mkdir()
    if who == "stranger":
        make_token(home)
    refused = stage.run(stage.launch("play"), HOME=str(home), RAY_AUTH_MODE="token")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert why in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stderr


def test_the_exit_code_of_a_followed_job_is_its_drivers(stage: Stage) -> None:
    stage.play.write_study("broken", {"bad": "raises"}, confirm=0)
    failed = stage.run(stage.launch("broken"))
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "bad-000 failed: ValueError: broken on purpose" in failed.stdout

    unready = stage.run(stage.launch("broken", "--python", "no-such-python"))
    assert unready.returncode == 2, unready.stdout + unready.stderr
    assert "--python PATH" in unready.stderr


@pytest.fixture
def cluster_file(tmp_path: Path) -> Iterator[Path]:
    """A cluster file whose head Ray takes for started, as after `ray up`."""
    name = f"paretune-{os.getpid()}"
    content = {
        "cluster_name": name,
        "max_workers": 0,
        "provider": {"type": "local", "head_ip": "127.0.0.1", "worker_ips": []},
        "auth": {"ssh_user": "nobody"},
    }
    (tmp_path / "cluster.yaml").write_text(json.dumps(content), encoding="utf-8")
    tags = {"ray-node-type": "head", "ray-node-status": "up-to-date", "ray-cluster-name": name}
    state = Path("/tmp/ray", f"cluster-{name}.state")
    state.parent.mkdir(exist_ok=True)
    state.write_text(json.dumps({"127.0.0.1": {"tags": tags, "state": "running"}}), "utf-8")
    yield tmp_path / "cluster.yaml"
    for left in (state, state.with_suffix(".lock")):
        left.unlink(missing_ok=True)


def test_a_cluster_file_is_reached_through_a_tunnel_that_ends_with_the_command(
    stage: Stage, cluster_file: Path
) -> None:
    ssh = cluster_file.with_name("ssh")
    ssh.write_bytes((Path(__file__).parents[1] / "helpers" / "ssh.py").read_bytes())
    ssh.chmod(0o755)
    listed = stage.run(
        stage.command("jobs", "--cluster", str(cluster_file)),
        PATH=os.pathsep.join((str(ssh.parent), stage.nodes.environment()["PATH"])),
        PORT_THERE=stage.nodes.job_server.rpartition(":")[2],
    )
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "began" in listed.stdout or "no job of ours" in listed.stdout
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if str(ssh).encode() in command]


def test_a_folder_that_was_not_fetched_is_left_as_it_is(stage: Stage) -> None:
    data = stage.play.folder / "data"
    before = sorted(data.iterdir())
    refused = stage.run(stage.command("fetch", "--to", "data"))
    assert refused.returncode == 2
    assert "name a folder that is new or empty" in refused.stderr
    assert sorted(data.iterdir()) == before
