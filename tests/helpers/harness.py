"""Sweeps for fault tests: a tiny study, the faulty plug-in, the command as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.folders import write_dataset, write_model

MODULE = "paretune_faulty"
ENTRY_POINTS = f"[paretune.strategies]\nfaulty = {MODULE}:Faulty\n"
PARETUNE = [sys.executable, "-m", "bench"]
ROOT = Path(__file__).parents[2]


def install(site: Path, name: str, source: Path | str, entry_points: str) -> Path:
    """Writes a module and the metadata of its distribution, as an installer does."""
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    if isinstance(source, Path):
        shutil.copy(source, site / f"{name}.py")
    else:
        (site / f"{name}.py").write_text(source, encoding="utf-8")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    (information / "METADATA").write_text(metadata, encoding="utf-8")
    (information / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    return site


class Play:
    """A folder with model, data, study and plug-ins, in which the command is run.

    Args:
        folder: an empty one.
        arms: fault per arm; one of no fault is a sound strategy.
        **keys: of the study.
    """

    def __init__(self, folder: Path, arms: Mapping[str, str], **keys: object) -> None:
        self.folder = folder
        write_model(folder / "model")
        write_dataset(folder / "data")
        self.site = install(
            folder / "site", MODULE, Path(__file__).with_name("faulty.py"), ENTRY_POINTS
        )
        self.write_study("play", arms, **keys)

    def write_study(self, name: str, arms: Mapping[str, str], **keys: object) -> None:
        """Writes a study beside model and data."""
        content = {
            "model": "model",
            "dataset": "data",
            "trials": 1,
            "epochs": 1,
            "max_length": 32,
            "precision": "fp32",
            "sampler": "random",
            "confirm": 0,
            "strategies": {
                arm: {"strategy": "faulty", "fault": fault} for arm, fault in arms.items()
            },
        }
        text = yaml.safe_dump(content | keys)
        (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    def command(self, *options: str) -> list[str]:
        return [*PARETUNE, "sweep", "play.yaml", "--out", "run", *options]

    def environment(self, **more: str) -> dict[str, str]:
        paths = [str(self.site), str(ROOT), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONUNBUFFERED": "1",
            "MARKS": str(self.folder),
            **more,
        }

    def sweep(self, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a sweep to its end."""
        return self.paretune(*self.command(*options)[len(PARETUNE) :], **more)

    def paretune(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs any command to its end."""
        return subprocess.run(
            [*PARETUNE, *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def start(self, *options: str, **more: str) -> subprocess.Popen[str]:
        """Begins a sweep; what it prints goes to a file."""
        log = (self.folder / "log.txt").open("a", encoding="utf-8")
        with log:
            return subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.environment(**more),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    @property
    def began(self) -> int:
        """How often a trial that waits has begun."""
        path = self.folder / "began"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0

    def go(self) -> None:
        """Lets trials that wait go on."""
        (self.folder / "go").touch()

    @property
    def log(self) -> str:
        """What started sweeps have printed."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """Record per trial; every one has to be whole."""
        paths = (self.run / "trials").glob("*.json")
        found = [json.loads(path.read_bytes()) for path in paths]
        assert len({record["fingerprint"] for record in found}) == len(found)
        return {f"{record['arm']}-{record['number']}": record for record in found}

    @property
    def statuses(self) -> dict[str, str]:
        return {trial: record["status"] for trial, record in self.records.items()}

    @property
    def report(self) -> str:
        return (self.run / "report" / "report.md").read_text(encoding="utf-8")


def until(happens: Callable[[], object], seconds: float = 60) -> None:
    """Waits for something."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def children(process: int) -> dict[int, str]:
    """Command line of every process below one."""
    parents, commands = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text(encoding="utf-8")
            commands[int(path.name)] = (path / "cmdline").read_text("utf-8").replace("\0", " ")
        except OSError:
            continue
        parents[int(path.name)] = int(stat.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    for candidate in commands:
        above = candidate
        while above in parents and above != process:
            above = parents[above]
        if above == process and candidate != process:
            found[candidate] = commands[candidate]
    return found
