"""Sections 5, 7 and 8: our own command against itself."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import moocore

from tests.peers.ours import Sweep, sweep
from tests.peers.settings import Bench, Search

SEARCHED = ("full", "adapter", "lora", "prompt", "prefix")
PRECISE = ("full", "adapter", "lora")
PRECISIONS = ("fp32", "bf16")


def workers(bench: Bench) -> dict[str, Any]:
    """Section 5: the same LoRA trials one at a time and two at a time."""
    scale = bench.scale
    dataset = bench.questions(scale.train, scale.validation)
    trials = str(scale.worker_trials)
    found = {}
    for count in ("1", "2"):
        done = sweep(
            f"workers-{count}",
            dataset,
            *("--strategies", "lora", "--trials", trials, "--epochs", "1", "--workers", count),
        )
        found[count] = {"seconds": done.finished.seconds, "trial_seconds": done.trial_seconds}
    return {"trials": scale.worker_trials, "train": scale.train, "workers": found}


def halving(bench: Bench) -> dict[str, Any]:
    """Section 7: hypervolume and training time with halving and without, same configurations."""
    return _halving(bench, bench.scale.search)


def halving_longer(bench: Bench) -> dict[str, Any]:
    """Section 7 once more, where more is learnt before the first rung."""
    return _halving(bench, bench.scale.longer_search)


def _halving(bench: Bench, size: Search) -> dict[str, Any]:
    dataset = bench.questions(size.train, size.validation)
    shared = [
        *("--strategies", ",".join(SEARCHED)),
        *("--trials", str(size.trials), "--epochs", str(size.epochs)),
        *("--batch-size", str(size.batch_size)),
    ]
    found = {
        name: _searched(sweep(f"search-{name}", dataset, *shared, option))
        for name, option in (("without", "--no-halving"), ("with", "--halving"))
    }
    return {
        "strategies": list(SEARCHED),
        "trials": size.trials,
        "epochs": size.epochs,
        "train": size.train,
        "validation": size.validation,
        "batch_size": size.batch_size,
        "runs": found,
    }


def _searched(done: Sweep) -> dict[str, Any]:
    statuses = [record["status"] for record in done.records]
    return {
        "seconds": done.finished.seconds,
        "train_seconds": done.train_seconds,
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "hypervolume": hypervolume(done.study, done.records),
        "best_accuracy": max(_accuracies(done.records)),
    }


def hypervolume(study: dict[str, Any], records: Iterable[dict[str, Any]]) -> float:
    """Share of the plane that the completed trials dominate, 0 … 1.

    The plane is (1 - accuracy, log10 trained parameters), both to be lowered, from (0, 0) to
    (1 - chance, log10 total parameters).
    """
    reference = (
        1 - study["baselines"][0]["scores"]["accuracy"],
        math.log10(study["total_parameters"]),
    )
    plane = [
        (1 - record["accuracy"]["validation"], math.log10(record["parameters"]["trained"]))
        for record in records
        if record["status"] == "completed"
    ]
    return float(moocore.hypervolume(plane, ref=reference)) / math.prod(reference)


def _accuracies(records: Iterable[dict[str, Any]]) -> list[float]:
    return [
        record["accuracy"]["validation"] for record in records if record["status"] == "completed"
    ]


def precision(bench: Bench) -> dict[str, Any]:
    """Section 8: accuracies of the same configurations and seeds in fp32 and in bf16."""
    scale = bench.scale
    if not scale.seeds:
        return {"missing": "a larger scale"}
    dataset = bench.questions(scale.precision_train, scale.precision_validation)
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for kind in PRECISIONS:
        for seed in range(scale.seeds):
            done = sweep(
                f"precision-{kind}-{seed}",
                dataset,
                *("--strategies", ",".join(PRECISE), "--trials", "1", "--epochs", "1"),
                *("--precision", kind, "--seed", str(seed)),
            )
            for record in done.records:
                scores[record["arm"]][kind].append(record["accuracy"]["validation"])
    return {
        "train": scale.precision_train,
        "validation": scale.precision_validation,
        "seeds": scale.seeds,
        "rows": {name: _against(kinds) for name, kinds in scores.items()},
    }


def _against(kinds: dict[str, list[float]]) -> dict[str, Any]:
    """Mean and deviation per precision; the difference lies within two of its standard errors."""
    spread = {
        kind: statistics.stdev(scores) if len(scores) > 1 else 0.0 for kind, scores in kinds.items()
    }
    difference = statistics.fmean(kinds["bf16"]) - statistics.fmean(kinds["fp32"])
    seeds = len(kinds["fp32"])
    noise = math.sqrt(sum(deviation**2 for deviation in spread.values()) / seeds)
    return {
        "scores": kinds,
        "means": {kind: statistics.fmean(scores) for kind, scores in kinds.items()},
        "deviations": spread,
        "difference": difference,
        "noise": noise,
        "within": abs(difference) <= 2 * noise,
    }
