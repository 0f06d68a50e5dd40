"""Run ``paretune sweep`` as a user would, and read its run folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.peers.measure import Finished, run
from tests.peers.settings import BATCH_SIZE, MAX_LENGTH, SEED, fresh

COMMAND = str(Path(sys.executable).parent / "paretune")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep that has ended.

    Attributes:
        finished: wall time and memory.
        records: one per trial.
        study: what was asked.
        ended: when each record was written, seconds of the system's clock, earliest first.
    """

    finished: Finished
    records: list[dict[str, Any]]
    study: dict[str, Any]
    ended: list[float]

    @property
    def trial_seconds(self) -> float:
        """Of training and validation of all trials together."""
        return sum(sum(_spans(record).values()) for record in self.records)

    @property
    def train_seconds(self) -> float:
        """Of training, stopped trials included."""
        return sum(_spans(record).get("train", 0.0) for record in self.records)


def _spans(record: dict[str, Any]) -> dict[str, float]:
    seconds = record["seconds"] or {}
    return {name: seconds[name] for name in ("load", "train", "validation") if name in seconds}


def sweep(name: str, dataset: Path, *options: str, extra: Mapping[str, str] | None = None) -> Sweep:
    """Runs a study in an empty folder.

    Args:
        name: of the working folder.
        dataset: folder of questions.
        options: of the command, besides those that all sweeps here share.
        extra: environment variables.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    folder = fresh(name)
    trials = folder / "run" / "trials"
    shared = {
        "--dataset": dataset,
        "--out": folder / "run",
        "--batch-size": BATCH_SIZE,
        "--max-length": MAX_LENGTH,
        "--sampler": "random",
        "--seed": SEED,
        "--confirm": 0,  # no peer has anything like it
    }
    given = [word for key, value in shared.items() if key not in options for word in (key, value)]
    finished = run(
        [COMMAND, "sweep", *map(str, given), *options],
        folder / "output.txt",
        extra=extra,
        progress=lambda: sum(1 for _ in trials.glob("*.json")),
    )
    paths = sorted(trials.glob("*.json"))
    records = [json.loads(path.read_bytes()) for path in paths]
    records.sort(key=lambda record: (record["arm"], record["number"]))
    study = json.loads((folder / "run" / "study.json").read_bytes())
    ended = sorted(path.stat().st_mtime for path in paths)
    return Sweep(finished=finished, records=records, study=study, ended=ended)


def cost(finished: Finished) -> dict[str, Any]:
    """Wall time and memory as JSON."""
    return {"seconds": finished.seconds, "worker": asdict(finished.worker)}
