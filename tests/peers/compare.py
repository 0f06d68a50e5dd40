"""Sections 1, 2 and 6: the same trials by peers and by us, whole process, with memory."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.pretrained.source import BUNDLED, locate
from tests.peers.measure import run
from tests.peers.ours import Sweep, cost, sweep
from tests.peers.settings import BATCH_SIZE, MAX_LENGTH, SEED, Bench, fresh

KINDS = ("documented", "tuned")
"""Peers that every comparison has; see ``peers.py``."""
UTMOST = "utmost"
SETTINGS = {"batch_size": BATCH_SIZE, "max_length": MAX_LENGTH, "seed": SEED}
KNOBS = {"lora": ("learning_rate", "rank", "targets"), "full": ("learning_rate",)}
FIXED = ("alpha_ratio", "dropout")
"""Knobs of ours that no trial searches, and which the peers are given as they stand."""
OWN_RAY = {"RAY_ADDRESS": "local"}
"""Else Tune joins whatever Ray it finds a trace of on this machine, be it long gone."""

ALLOCATOR = {"MALLOC_ARENA_MAX": "1"}
"""Tune runs every trial of a function trainable in a new thread, each of which gets an arena of
its own from the C library: a worker that is used again keeps more than a GiB per trial."""


def compare_lora(bench: Bench) -> dict[str, Any]:
    """Section 1, after one trial of every system that only warms the machine up.

    Whoever runs first on a machine that has done nothing reads every library from the disk and
    waits for its memory.
    """
    compare(bench, "lora", 1)
    return {**compare(bench, "lora", bench.scale.lora_trials), "warmed_up": True}


def compare_utmost(bench: Bench) -> dict[str, Any]:
    """Section 1 once more, against all that the peer's options allow."""
    return compare(bench, "lora", bench.scale.lora_trials, kinds=(UTMOST,))


def compare_full(bench: Bench) -> dict[str, Any]:
    """Section 2."""
    return compare(bench, "full", bench.scale.full_trials, train=bench.scale.full_train)


def compare(
    bench: Bench,
    method: str,
    trials: int,
    *,
    train: int | None = None,
    kinds: Sequence[str] = KINDS,
    model: str = BUNDLED,
    gpus: float = 0.0,
) -> dict[str, Any]:
    """Runs ours, then every peer with our configurations.

    Args:
        bench: sizes and questions.
        method: ``lora`` or ``full``.
        trials: of each system.
        train: questions a trial learns from; by default the scale's.
        kinds: of peers.
        model: ``bundled`` or a folder.
        gpus: per trial.
    """
    scale = bench.scale
    train = train or scale.train
    dataset = bench.questions(train, scale.validation)
    own = ours(dataset, method, trials, model=model, gpus=gpus)
    points = [_point(record, method) for record in own.records]
    found: dict[str, Any] = {
        "model": model if model == BUNDLED else "BERT-base shapes, random weights",
        "trials": trials,
        "train": train,
        "validation": scale.validation,
        "dataset": bench.dataset_name,
        "precision": own.records[0]["environment"]["precision"],
        "ours": cost(own.finished),
    }
    mine = {_key(p): r["accuracy"]["validation"] for p, r in zip(points, own.records, strict=True)}
    found["ours"]["mean_accuracy"] = statistics.fmean(mine.values())
    task = {
        "method": method,
        "model": str(locate(model).folder),
        "dataset": str(dataset),
        "points": points,
        "gpus_per_trial": gpus,
        **SETTINGS,
        **{knob: own.records[0]["knobs"].get(knob) for knob in FIXED},
    }
    found["peers"] = {kind: _peer({**task, "kind": kind}, mine, scale.validation) for kind in kinds}
    return found


def ours(dataset: Path, method: str, trials: int, *, model: str, gpus: float) -> Sweep:
    """Our command, everything it does included."""
    options = ["--model", model, "--strategies", method, "--trials", str(trials), "--epochs", "1"]
    if gpus:
        options += ["--gpus-per-trial", f"{gpus:g}"]
    return sweep(f"{method}-ours", dataset, *options)


def _point(record: dict[str, Any], method: str) -> dict[str, Any]:
    values = {**record["knobs"], "learning_rate": record["learning_rate"]}
    return {knob: values[knob] for knob in KNOBS[method]}


def _key(point: dict[str, Any]) -> str:
    """A configuration as text; floats survive a round trip, but Optuna may touch the last digit."""
    shown = {k: f"{v:.9g}" if isinstance(v, float) else v for k, v in point.items()}
    return json.dumps(shown, sort_keys=True)


def _peer(task: dict[str, Any], mine: dict[str, float], questions: int) -> dict[str, Any]:
    """Runs a peer and pairs its accuracies with ours."""
    folder = fresh(f"{task['method']}-{task['kind']}")
    path = folder / "task.json"
    path.write_text(json.dumps({**task, "storage": str(folder / "ray")}), encoding="utf-8")
    command = [sys.executable, "-m", "tests.peers.peers", str(path)]
    extra = OWN_RAY | (ALLOCATOR if task["kind"] == UTMOST else {})
    finished = run(command, folder / "output.txt", extra=extra)
    found = json.loads(path.with_suffix(".result.json").read_bytes())
    theirs = {
        _key({knob: trial[knob] for knob in KNOBS[task["method"]]}): trial["eval_accuracy"]
        for trial in found
    }
    if theirs.keys() != mine.keys():
        raise ValueError(f"{task['kind']} ran other configurations: {theirs.keys() ^ mine.keys()}")
    return {
        **cost(finished),
        "computed_in": sorted({trial["computed_in"] for trial in found}),
        "mean_accuracy": statistics.fmean(theirs.values()),
        "difference": paired(
            [mine[key] - theirs[key] for key in mine], [*mine.values()], questions
        ),
    }


def paired(differences: list[float], accuracies: list[float], questions: int) -> dict[str, Any]:
    """Whether accuracies of the same configurations differ by more than chance.

    Args:
        differences: ours less theirs, one per configuration.
        accuracies: ours.
        questions: validation questions behind each of them.

    Returns:
        Mean and deviation of the differences; the standard error of their mean; the binomial
        standard error of one accuracy; whether the mean is within two of the former, and within
        two of the latter. All configurations share seed and questions, so the former alone is
        too small.
    """
    mean = statistics.fmean(differences)
    deviation = statistics.stdev(differences) if len(differences) > 1 else 0.0
    standard_error = deviation / math.sqrt(len(differences))
    share = statistics.fmean(accuracies)
    binomial = math.sqrt(share * (1 - share) / questions)
    return {
        "pairs": len(differences),
        "mean": mean,
        "deviation": deviation,
        "standard_error": standard_error,
        "binomial": binomial,
        "within_paired": abs(mean) <= 2 * standard_error,
        "within_binomial": abs(mean) <= 2 * binomial,
    }
