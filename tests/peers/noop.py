"""Section 3: what a trial costs besides computing, with a strategy that computes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from bench.data.tasks.multiple_choice import Question
from tests.peers.ours import Sweep, sweep
from tests.peers.settings import Bench, fresh, write_questions

MODULE = "paretune_noop"
PER_SPLIT = 8
METADATA = f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 0\n"
ENTRY_POINTS = f"""[paretune.strategies]
noop = {MODULE}:Noop
[paretune.search_spaces]
noop = {MODULE}:SPACE
"""
MOMENTS = (0.1, 0.5, 1.0)
"""Shares of the trials after which the driver's memory is read."""


def overhead(bench: Bench) -> dict[str, Any]:
    """Wall time per trial and the driver's memory by sampler, at every number of trials.

    The plug-in is found as an installed one is, by its metadata, which lies on ``PYTHONPATH``.
    """
    folder = fresh("noop")
    path = os.pathsep.join(filter(None, [str(install(folder)), os.environ.get("PYTHONPATH")]))
    dataset = questions(folder / "questions")
    sizes = bench.scale.overhead
    return {
        sampler: [_run(dataset, sampler, trials, path) for trials in numbers]
        for sampler, numbers in {"tpe": sizes, "random": sizes[-1:]}.items()
    }


def _run(dataset: Path, sampler: str, trials: int, path: str) -> dict[str, Any]:
    done = sweep(
        f"noop-{sampler}-{trials}",
        dataset,
        *("--strategies", "noop", "--trials", str(trials), "--epochs", "1"),
        *("--sampler", sampler),
        extra={"PYTHONPATH": path},
    )
    return _figures(done, trials)


def install(folder: Path) -> Path:
    """The plug-in with its metadata, as an installer leaves them, in a folder for the path."""
    site = folder / "site"
    information = site / f"{MODULE}-0.dist-info"
    information.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("noop_plugin.py"), site / f"{MODULE}.py")
    (information / "METADATA").write_text(METADATA, encoding="utf-8")
    (information / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return site


def questions(folder: Path) -> Path:
    """A dataset of a few questions."""
    folder.mkdir()
    for start, split in enumerate(("train", "validation", "test")):
        numbers = range(start * PER_SPLIT, (start + 1) * PER_SPLIT)
        write_questions(folder / f"{split}.jsonl", tuple(map(_question, numbers)))
    return folder


def _question(number: int) -> Question:
    choices = tuple(str(number + 1 + offset) for offset in range(4))
    turn = number % 4
    return Question(
        identifier=f"n{number}",
        text=f"Which number follows {number}?",
        choices=(*choices[4 - turn :], *choices[: 4 - turn]),
        answer=turn,
    )


def _figures(done: Sweep, trials: int) -> dict[str, Any]:
    statuses = sorted({record["status"] for record in done.records})
    if statuses != ["completed"] or len(done.records) != trials:
        raise ValueError(f"{trials} trials were asked for: {len(done.records)} ended as {statuses}")
    return {
        "trials": trials,
        "seconds": done.finished.seconds,
        "mean": done.finished.seconds / trials,
        "pace": _pace(done.ended),
        "driver": [_at(done, share * trials) for share in MOMENTS],
    }


def _pace(ended: list[float]) -> dict[str, float]:
    """Seconds per trial over a tenth of the trials: around the first tenth's end, and at last.

    Both are of one run, so that neither its start nor another hour of the machine enters.
    """
    window = max(len(ended) // 10, 1)
    early = window // 2
    return {
        "early": (ended[early + window] - ended[early]) / window,
        "late": (ended[-1] - ended[-1 - window]) / window,
    }


def _at(done: Sweep, trials: float) -> int | None:
    """Resident bytes of the driver when so many trials had ended."""
    return next((rss for ended, rss in done.finished.driver if ended >= trials), None)
