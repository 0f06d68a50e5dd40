"""The look at a cluster: real nodes, some of them unfit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import ray

from bench import __version__
from tests.helpers.harness import ROOT, Play, children
from tests.helpers.nodes import Nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

HIDE = """
import ctypes, os

folder = os.environ.pop("HIDDEN", None)
if folder:  # the first process of a node: the others are born into what it sees
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0
    assert libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None) == 0
    assert libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=1m") == 0
"""


@dataclass(frozen=True)
class Ward:
    """A cluster of three nodes, and a folder with a study for it."""

    nodes: Nodes
    play: Play

    def doctor(self, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        words = ("doctor", "play.yaml", "--out", "run", "--address", self.nodes.address)
        return self.play.paretune(*words, *options, **self.visitor(), **more)

    def sweep(self) -> subprocess.CompletedProcess[str]:
        return self.play.sweep("--address", self.nodes.address, **self.visitor())

    def visitor(self) -> dict[str, str]:
        return {"HOME": str(self.nodes.home), "RAY_AUTH_MODE": "token"}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    play = Play(folder / "study", {"sound": "none"})
    paths = os.pathsep.join((str(play.site), str(ROOT)))
    with Nodes(folder, environment={"PYTHONPATH": paths}) as nodes:
        yield Ward(nodes, play)


def lines_of(done: subprocess.CompletedProcess[str], level: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith(level)]


def metadata(site: Path, name: str, version: str) -> None:
    """What an installed distribution says of itself."""
    information = site / f"{name}-{version}.dist-info"
    information.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (information / "METADATA").write_text(text, encoding="utf-8")


def test_nodes_that_agree_are_one_line_and_nothing_is_left_behind(ward: Ward) -> None:
    before = sorted(ward.play.folder.rglob("*"))
    done = ward.doctor()

    assert done.returncode == 0, done.stdout + done.stderr
    assert not lines_of(done, "refused")
    assert not lines_of(done, "warning")
    told = "\n".join(lines_of(done, "ok"))
    assert "versions: 3 nodes: Python 3." in told
    assert "code: 3 nodes: the same code" in told
    assert f"results: 3 nodes: {ward.play.folder} is shared" in told
    assert "clocks: 3 nodes:" in told
    assert sorted(ward.play.folder.rglob("*")) == before


def test_what_is_no_fault_but_a_trap_is_a_warning_in_the_record_without_addresses(
    ward: Ward,
) -> None:
    ward.nodes.add("watched", RAY_memory_monitor_refresh_ms="250")
    try:
        done = ward.doctor()
        assert done.returncode == 0, done.stdout + done.stderr
        (warning,) = lines_of(done, "warning")
        assert re.search(r"Ray: 127\.0\.0\.\d+ \(", warning)
        assert "memory monitor is on" in warning

        swept = ward.sweep()
        assert swept.returncode == 0, swept.stdout + swept.stderr
        study = json.loads((ward.play.run / "study.json").read_bytes())
        (notice,) = [told for told in study["notices"] if "memory monitor" in told]
        assert notice.startswith("node ")
        assert "127.0.0" not in notice
        assert "note: node " in swept.stdout
    finally:
        ward.nodes.kill("watched")
        shutil.rmtree(ward.play.run, ignore_errors=True)


def test_other_versions_on_one_node_are_refused_by_name_and_a_sweep_writes_nothing(
    ward: Ward, tmp_path: Path
) -> None:
    for package in ("bench", "strategies", "search_spaces"):
        shutil.copytree(ROOT / package, tmp_path / package)
    broken = "raise ImportError('a look must not import this')\n"
    (tmp_path / "bench" / "__init__.py").write_text(broken, encoding="utf-8")
    metadata(tmp_path, "paretune", "0.0.9")
    metadata(tmp_path, "torch", "2.12.0")
    ward.nodes.add("old", PYTHONPATH=str(tmp_path))
    try:
        done = ward.doctor()
        swept = ward.sweep()
    finally:
        ward.nodes.kill("old")

    told = "\n".join(lines_of(done, "refused"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(r"127\.0\.0\.\d+ \(\w{8}\): paretune 0\.0\.9, here", told)
    assert f"paretune 0.0.9, here {__version__}; install the same there" in told
    assert f"torch 2.12.0, here {version('torch')}" in told
    assert "versions: 3 nodes: Python" in done.stdout
    assert swept.returncode == 2
    assert f"paretune 0.0.9, here {__version__}" in swept.stderr
    assert f"torch 2.12.0, here {version('torch')}" in swept.stderr
    assert "Traceback" not in swept.stderr
    assert not ward.play.run.exists()


def test_other_code_of_the_same_version_and_a_missing_plug_in_are_refused(
    ward: Ward, tmp_path: Path
) -> None:
    for package in ("bench", "strategies", "search_spaces"):
        shutil.copytree(ROOT / package, tmp_path / package)
    comment, change = tmp_path / "bench" / "data.py", tmp_path / "bench" / "train.py"
    comment.write_text(f"# mended\n{comment.read_text('utf-8')}", encoding="utf-8")
    change.write_text(f"{change.read_text('utf-8')}\nLIMIT = 3\n", encoding="utf-8")
    ward.nodes.add("edited", PYTHONPATH=str(tmp_path))
    try:
        done = ward.doctor()
    finally:
        ward.nodes.kill("edited")

    told = "\n".join(lines_of(done, "refused"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "other code in bench/training/loop.py than here" in told
    assert "paretune_faulty is not installed" in told


def test_a_node_without_a_compiler_is_refused_by_name_if_trials_are_compiled(ward: Ward) -> None:
    ward.play.write_study("compiled", {"sound": "none"}, compile=True)
    options = ("--out", "compiled", "--address", ward.nodes.address)
    ward.nodes.add("bare", CXX="no-such-compiler")
    try:
        indifferent = ward.doctor()
        done, swept = (
            ward.play.paretune(command, "compiled.yaml", *options, **ward.visitor())
            for command in ("doctor", "sweep")
        )
    finally:
        ward.nodes.kill("bare")

    assert indifferent.returncode == 0, indifferent.stdout + indifferent.stderr
    assert done.returncode == 2, done.stdout + done.stderr
    (told,) = lines_of(done, "refused")
    assert re.match(r"refused  compilers: 127\.0\.0\.\d+ \(\w{8}\): --compile: ", told)
    assert "there is none; install g++" in told
    assert "compilers: 2 nodes: there is what torch.compile needs" in done.stdout
    assert swept.returncode == 2
    assert "needs a C++ compiler and there is none" in swept.stderr
    assert "Traceback" not in swept.stderr
    assert not (ward.play.folder / "compiled").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk needs root")
def test_a_results_folder_that_one_node_does_not_see_is_refused(ward: Ward, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    paths = os.pathsep.join((str(tmp_path), str(ward.play.site), str(ROOT)))
    results = ward.play.folder / "results"
    results.mkdir()
    ward.nodes.add("alone", PYTHONPATH=paths, HIDDEN=str(results))
    try:
        done = ward.doctor("--out", str(results / "run"))
    finally:
        ward.nodes.kill("alone")

    assert done.returncode == 2, done.stdout + done.stderr
    (told,) = lines_of(done, "refused")
    assert f"does not see what this machine writes to {results};" in told
    assert f"results: 3 nodes: {results} is shared" in done.stdout
    assert list(results.iterdir()) == []


def test_a_store_that_every_process_has_for_itself_is_refused(ward: Ward) -> None:
    done = ward.doctor("--out", "memory://results", "--json")

    found = json.loads(done.stdout)
    (finding,) = [finding for finding in found["findings"] if finding["level"] == "refused"]
    assert done.returncode == 2
    assert not found["ready"]
    assert "memory:// cannot hold a run folder" in finding["found"]


def test_a_node_that_does_not_answer_is_a_line_of_its_own(ward: Ward) -> None:
    below = children(os.getpid()).items()
    (raylet,) = [
        process
        for process, command in below
        if command.partition(" ")[0].endswith("/raylet") and "127.0.0.3" in command
    ]
    os.kill(raylet, signal.SIGSTOP)
    try:
        done = ward.doctor()
    finally:
        os.kill(raylet, signal.SIGCONT)

    assert done.returncode == 2, done.stdout + done.stderr
    (told,) = lines_of(done, "refused")
    assert told.startswith("refused  nodes: 127.0.0.3 (")
    assert "gives no answer: none within 30 s" in told
    assert "results: 2 nodes: " in done.stdout


def test_a_cluster_without_token_is_refused_or_a_warning_if_that_is_allowed(tmp_path: Path) -> None:
    play = Play(tmp_path / "study", {"sound": "none"})
    paths = os.pathsep.join((str(play.site), str(ROOT)))
    opened = {"RAY_AUTH_MODE": "disabled"}
    host = ray.util.get_node_ip_address()
    with Nodes(tmp_path, first=(), environment={"PYTHONPATH": paths, **opened}) as nodes:
        address = f"{host}:{nodes.address.rpartition(':')[2]}"
        words = ("doctor", "play.yaml", "--address", address)
        refused = play.paretune(*words, **opened)
        allowed = play.paretune(*words, "--insecure-cluster", **opened)

    (told,) = lines_of(refused, "refused")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "whoever reaches that cluster may run code on it" in told
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert "may let in whoever reaches it" in "\n".join(lines_of(allowed, "warning"))
