"""How the cost of a run grows with its trials and workers: ``python -m tests.peers.scale``.

Trials compute nothing, so that what is left is ours, Optuna's and Ray's. Figures lie as JSON in the
scratch folder; the page that is made of them is ``reports/published/scale.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.study.provenance import commit
from tests.helpers.folders import write_model
from tests.peers.measure import machine
from tests.peers.noop import install, questions
from tests.peers.ours import Sweep, sweep
from tests.peers.scale_page import page
from tests.peers.settings import PUBLISHED, ROOT, SCRATCH, fresh

FOUND = SCRATCH / "scale.json"
PAGE = PUBLISHED.with_name("scale.md")
REPEATED = 1000
"""Up to so many trials a part is measured three times, and the median counts."""

PARTS = {
    "random": (100, 1000, 10_000),
    "tpe": (100, 300, 1000, 3000),
    "read": (100, 1000, 10_000, 100_000),
    "status": (100, 1000, 10_000),
    "leaderboard": (100, 1000, 10_000),
    "report": (100, 1000, 10_000),
}
REST = 2.0
"""Seconds that a trial of the sweeps with many workers takes, in which no core is busy."""

SWEEPS = (
    *(
        {"sampler": sampler, "trials": trials, "workers": 2, "epochs": 1, "rest": 0.0}
        for sampler, trials in [
            *(("random", 10), ("random", 100), ("random", 1000), ("random", 10_000)),
            *(("tpe", 100), ("tpe", 1000)),
        ]
    ),
    {"sampler": "random", "trials": 300, "workers": 2, "epochs": 6, "rest": 0.0},
    *(
        {"sampler": "random", "trials": 25 * workers, "workers": workers, "epochs": 1, "rest": REST}
        for workers in (2, 8, 32)
    ),
)
FEWEST = 300
"""Trials below which a look a second says nothing of what each costs."""

SMOKE = 100
"""Trials of the largest size that ``--smoke`` runs."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what a run costs with many trials.")
    parser.add_argument("--smoke", action="store_true", help="the smallest sizes, no page")
    parser.add_argument("--only", choices=("parts", "sweeps"), help="keep the other's figures")
    parser.add_argument("--render", action="store_true", help="write the page, measure nothing")
    options = parser.parse_args()
    most = SMOKE if options.smoke else sys.maxsize
    found: dict[str, Any] = json.loads(FOUND.read_bytes()) if FOUND.exists() else {}
    if not options.render:
        found["machine"] = machine()
        if options.only != "sweeps":
            found |= {"parts_at": _state(), "parts": _parts(most)}
        if options.only != "parts":
            asked = [one for one in SWEEPS if one["trials"] <= most]
            found |= {"sweeps_at": _state(), "sweeps": [_sweep(one) for one in asked]}
    text = page(found)
    if not options.smoke:
        FOUND.parent.mkdir(parents=True, exist_ok=True)
        FOUND.write_text(json.dumps(found, indent=1), encoding="utf-8")
        PAGE.write_text(text, encoding="utf-8")
    _say(text)
    return 0


def _state() -> dict[str, Any]:
    """Of code and machine, before something is measured."""
    return {"commit": commit(), "load": os.getloadavg()[0]}


def _parts(most: int) -> dict[str, list[dict[str, float]]]:
    """Figures per part and number of trials; every part in a process of its own."""
    found: dict[str, list[dict[str, float]]] = {"write": []}
    with tempfile.TemporaryDirectory(prefix="paretune-scale-") as scratch:
        for number in sorted({n for sizes in PARTS.values() for n in sizes if n <= most}):
            folder = Path(scratch) / str(number)
            found["write"].append(_part("write", number, folder))
            for name in (name for name, sizes in PARTS.items() if number in sizes):
                times = 3 if number <= REPEATED else 1
                runs = [_part(name, number, folder) for _ in range(times)]
                middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                found.setdefault(name, []).append(middle)
            shutil.rmtree(folder)
    return found


def _part(name: str, number: int, folder: Path) -> dict[str, float]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tests.peers.scale_parts", name, str(number), str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    _say(f"{name} {number}: {time.perf_counter() - began:.0f} s, {done.stdout.strip()}")
    figures: dict[str, float] = json.loads(done.stdout)
    return {"trials": number, **figures}


def _sweep(asked: dict[str, Any]) -> dict[str, Any]:
    """One sweep of trials that compute nothing."""
    name = "-".join(map(str, ("scale", *asked.values())))
    folder = fresh(f"{name}-inputs")
    dataset, model = questions(folder / "questions"), write_model(folder / "model")
    path = os.pathsep.join(filter(None, [str(install(folder)), os.environ.get("PYTHONPATH")]))
    cores = len(os.sched_getaffinity(0))
    done = sweep(
        name,
        dataset,
        *("--model", str(model), "--strategies", "noop", "--trials", str(asked["trials"])),
        *("--epochs", str(asked["epochs"]), "--sampler", asked["sampler"]),
        *(
            "--cpus-per-trial",
            f"{cores / asked['workers']:g}",
            "--set",
            f"noop.rest={asked['rest']}",
        ),
        extra={"PYTHONPATH": path},
    )
    figures = {**asked, "seconds": done.finished.seconds, **_driver(done)}
    _say(json.dumps(figures))
    return figures


def _driver(done: Sweep) -> dict[str, Any]:
    """Seconds of the command's process per trial, and its memory, in both halves of the trials."""
    busy = [
        (ended, seconds)
        for ended, seconds in done.finished.busy
        if ended and len(done.records) >= FEWEST
    ]
    middle = next((at for at, (ended, _) in enumerate(busy) if ended >= len(done.records) / 2), 0)
    last = next((at for at, (ended, _) in enumerate(busy) if ended == len(done.records)), 0)
    halves = {"early": (0, middle), "late": (middle, last)}
    return {
        **{name: _slope(busy[a], busy[b]) if b > a else None for name, (a, b) in halves.items()},
        "pace": _pace(done.ended),
        "settled": _pace(done.ended[len(done.ended) // 2 :]),
        "memory": max((rss for _, rss in done.finished.driver), default=None),
    }


def _pace(ended: list[float]) -> float:
    """Seconds between two records."""
    return (ended[-1] - ended[0]) / max(1, len(ended) - 1)


def _slope(before: tuple[int, float], after: tuple[int, float]) -> float | None:
    trials = after[0] - before[0]
    return (after[1] - before[1]) / trials if trials else None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
