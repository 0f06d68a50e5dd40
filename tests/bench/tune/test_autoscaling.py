"""A sweep on clusters whose nodes come and go: Ray's own autoscaler, and nodes added by hand."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_cluster import Machines, forget
from tests.helpers.harness import Play, until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
LIST = (
    "import ray, sys; ray.init(sys.argv[1], log_to_driver=False);"
    "print(sum(node['Alive'] for node in ray.nodes()))"
)


def config(port: int) -> dict[str, object]:
    """A cluster file of Ray's provider that starts nodes as processes of this machine."""
    lists = (
        "initialization_commands", "setup_commands", "head_setup_commands", "rsync_exclude",
        "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands",
        "cluster_synced_files", "rsync_filter",
    )  # fmt: skip
    small = {"CPU": 1, "object_store_memory": 200_000_000}
    return {
        "cluster_name": "fake",
        "max_workers": 2,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": f"127.0.0.1:{port}",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "small": {
                "resources": small, "node_config": {}, "min_workers": 0, "max_workers": 2
            },
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in lists},
    }  # fmt: skip


class Autoscaled:
    """A cluster that starts with a head on which no trial runs, and grows to two nodes."""

    def __init__(self, play: Play, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._play = play
        self.address = f"127.0.0.1:{port}"
        path = folder / "cluster.json"
        path.write_text(json.dumps(config(port)), encoding="utf-8")
        options = [
            f"--port={port}",
            "--num-cpus=0",
            "--node-ip-address=127.0.0.1",
            f"--temp-dir={folder}/ray",
            f"--autoscaling-config={path}",
            "--include-dashboard=false",
            "--disable-usage-stats",
            "--block",
        ]
        self._head = subprocess.Popen(
            [*RAY, "start", "--head", *options],
            env=play.environment(
                RAY_AUTH_MODE="disabled", RAY_FAKE_CLUSTER="1", AUTOSCALER_UPDATE_INTERVAL_S="1"
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._head.stdout is not None
        for line in self._head.stdout:
            if "Ray runtime started" in line:
                break

    @property
    def nodes(self) -> int:
        """Those that are there, the head among them."""
        told = subprocess.run(
            [sys.executable, "-c", LIST, self.address],
            env=self._play.environment(RAY_AUTH_MODE="disabled"),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return int(told.stdout)

    def close(self) -> None:
        os.killpg(self._head.pid, signal.SIGKILL)  # its nodes die with it, at once
        self._head.communicate(timeout=60)
        forget(self.address)


@pytest.fixture
def autoscaled(tmp_path: Path) -> Iterator[tuple[Play, Autoscaled]]:
    play = Play(tmp_path, {"one": "none", "other": "none"}, trials=2)
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        held = Autoscaled(play, Path(folder))
        yield play, held
        held.close()


def test_a_cluster_that_starts_without_room_grows_for_a_sweep_and_shrinks_again(
    autoscaled: tuple[Play, Autoscaled],
) -> None:
    play, cluster = autoscaled
    assert cluster.nodes == 1
    done = play.sweep("--address", cluster.address, "--insecure-cluster", RAY_AUTH_MODE="disabled")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(play.statuses.values()) == {"completed"}
    assert len(play.statuses) == 4
    assert not any(r["seconds"]["device_shared"] for r in play.records.values())
    assert cluster.nodes > 1
    end = time.monotonic() + 90
    while cluster.nodes > 1:
        assert time.monotonic() < end, "idle nodes stay"
        time.sleep(1)


def test_what_no_node_that_may_come_has_is_refused_with_both_numbers(
    autoscaled: tuple[Play, Autoscaled],
) -> None:
    play, cluster = autoscaled
    options = ("--address", cluster.address, "--insecure-cluster", "--cpus-per-trial", "2")
    refused = play.sweep(*options, RAY_AUTH_MODE="disabled")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "a trial asks for 2 CPUs and 0 GPUs" in refused.stderr
    assert "1 CPUs and 0 GPUs" in refused.stderr
    assert not play.run.exists()


def test_a_node_that_is_added_in_the_middle_is_used(tmp_path: Path) -> None:
    play = Play(tmp_path, {"first": "waits", "second": "waits"})
    held = Machines(play)
    try:
        held.say("add first")
        options = ("--address", held.address, "--insecure-cluster")
        sweep = play.start(*options, RAY_AUTH_MODE="disabled")
        until(lambda: play.began == 1)
        time.sleep(1)
        assert play.began == 1
        held.say("add second")
        until(lambda: play.began == 2, 90)
        play.go()
        assert sweep.wait(120) == 0, play.log
        assert play.statuses == {"first-0": "completed", "second-0": "completed"}
    finally:
        held.close()
