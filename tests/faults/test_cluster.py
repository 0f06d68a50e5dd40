"""Clusters: nodes that are lost or drained, more asked for than there is, and who may join."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cluster import join as cluster
from tests.helpers.harness import Play, until

pytestmark = pytest.mark.ray

HOLD = """
import os, signal, sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = {}
print(cluster.address, flush=True)
for line in sys.stdin:
    verb, _, name = line.strip().partition(" ")
    if verb == "add":
        nodes[name] = cluster.add_node(num_cpus=1)
        print(nodes[name].node_id, flush=True)
    elif verb == "lose":
        cluster.remove_node(nodes.pop(name), allow_graceful=False)
        print("lost", flush=True)
cluster.shutdown()
"""


def forget(address: str) -> None:
    """Removes the note of a cluster that Ray leaves for whoever starts next on this machine."""
    note = Path("/tmp/ray/ray_current_cluster")
    if note.exists() and note.read_text(encoding="utf-8") == address:
        note.unlink()


class Machines:
    """A cluster of several nodes on this machine, held by another process."""

    def __init__(self, play: Play) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=play.environment(RAY_AUTH_MODE="disabled", RAY_health_check_period_ms="500"),
        )
        self.address = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def say(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate(timeout=60)
        forget(self.address)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Play, Machines]]:
    play = Play(tmp_path, {"waiting": "waits", "sound": "none"})
    held = Machines(play)
    yield play, held
    held.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lost", "drained"])
def test_f07_trials_of_a_lost_or_drained_node_move_on(
    machines: tuple[Play, Machines], how: str
) -> None:
    play, held = machines
    first = held.say("add first")
    sweep = play.start("--address", held.address, "--insecure-cluster", RAY_AUTH_MODE="disabled")
    until(lambda: play.began)
    held.say("add second")
    if how == "lost":
        held.say("lose first")
    else:
        drain = [
            *(sys.executable, "-m", "ray.scripts.scripts", "drain-node"),
            *("--address", held.address, "--node-id", first),
            *("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"),
            *("--deadline-remaining-seconds", "2"),
        ]
        subprocess.run(drain, check=True, capture_output=True, timeout=60)
        held.say("lose first")
    until(lambda: play.began == 2, 90)
    play.go()
    assert sweep.wait(120) == 0, play.log
    assert play.statuses == {"waiting-0": "completed", "sound-0": "completed"}
    assert play.records["waiting-0"]["attempts"] == 2
    assert "--insecure-cluster" in play.report


@dataclass(frozen=True)
class Guarded:
    """A cluster that asks for a token, and homes of people with and without it."""

    play: Play
    address: str
    homes: dict[str, Path]

    def join(self, who: str) -> subprocess.CompletedProcess[str]:
        return self.play.sweep(
            "--address", self.address, "--workers", "1", HOME=str(self.homes[who])
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    play = Play(folder, {"sound": "none"})
    homes = {who: folder / who for who in ("friend", "stranger", "visitor")}
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    for who, home in homes.items():
        home.mkdir()
        if who != "visitor":
            subprocess.run(
                [*ray, "get-auth-token", "--generate"],
                env=play.environment(HOME=str(home)),
                umask=0o077,
                check=True,
                capture_output=True,
            )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    options = [
        f"--port={port}",
        "--num-cpus=1",
        "--include-dashboard=false",
        "--disable-usage-stats",
    ]
    options += ["--node-ip-address=127.0.0.1", "--block"]
    with subprocess.Popen(
        [*ray, "start", "--head", *options],
        env=play.environment(HOME=str(homes["friend"]), RAY_AUTH_MODE="token"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as head:
        assert head.stdout is not None
        for line in head.stdout:
            if "Ray runtime started" in line:
                break
        yield Guarded(play, address, homes)
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(60)
    forget(address)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["visitor", "stranger"])
def test_s01_who_has_no_token_or_a_wrong_one_is_turned_away(guarded: Guarded, who: str) -> None:
    done = guarded.join(who)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"--address {guarded.address}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not guarded.play.run.exists()


@pytest.mark.slow
def test_s01_a_cluster_is_asked_whether_it_lets_anyone_in(
    guarded: Guarded, machines: tuple[Play, Machines]
) -> None:
    assert not cluster._lets_anyone_in(guarded.address)
    assert cluster._lets_anyone_in(machines[1].address)


@pytest.mark.slow
def test_s01_who_has_the_token_runs_trials(guarded: Guarded) -> None:
    done = guarded.join("friend")
    assert done.returncode == 0, done.stdout + done.stderr
    assert guarded.play.statuses == {"sound-0": "completed"}


@pytest.mark.slow
def test_f11_more_than_the_machine_has_is_refused_with_both_numbers(tmp_path: Path) -> None:
    play = Play(tmp_path, {"sound": "none"})
    refused = play.sweep("--cpus-per-trial", "4096")
    assert refused.returncode == 2
    assert "a trial asks for 4096 CPUs" in refused.stderr
    assert f"has {os.cpu_count()} CPUs" in refused.stderr
    assert not play.run.exists()
