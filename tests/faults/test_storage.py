"""A disk that is full: a clean stop that says what did not fit, and a run that goes on later."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.harness import Play

pytestmark = pytest.mark.ray

SIZE = 3 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; only who may mount one can run what needs it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    if os.name != "posix" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """Fills a file system but for so many bytes."""
    filler = folder / "filler"
    filler.write_bytes(b"\0" * (os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - left))
    return filler


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 600_000])
def test_f10_a_full_disk_stops_the_run_and_the_same_command_completes_it(
    tmp_path: Path, small_disk: Path, left: int
) -> None:
    play = Play(tmp_path, {}, trials=12, strategies=["full"])
    filler = fill(small_disk, left)
    run = small_disk / "run"
    run.mkdir()
    (tmp_path / "run").symlink_to(run)

    stopped = play.sweep()
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    told = re.search(
        r"stopped: (\S+) \((\d+) bytes\) cannot be written: No space left on device, (\d+) bytes",
        stopped.stderr,
    )
    assert told, stopped.stderr
    assert "run/" in told[1]
    assert "Traceback" not in stopped.stderr
    kept = play.statuses
    assert len(kept) < 12
    assert (len(kept) > 0) == (left > 0)
    assert set(kept.values()) <= {"completed"}

    filler.unlink()
    rest = play.sweep()
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert len(play.records) == 12
    assert set(play.statuses.values()) == {"completed"}
    assert not list(run.rglob("*.tmp"))
