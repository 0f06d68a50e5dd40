"""What ``paretune recommend`` says, as documents for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from reports.analysis import Entry
from reports.devices import devices_of
from reports.recommend import Advice, Nothing, Versus, Wishes

LATENCY = "inference_ms_p50"


def advice_document(advice: Advice, wishes: Wishes, goals: Sequence[str]) -> dict[str, Any]:
    """The configuration to take and what it was weighed against.

    Args:
        advice: the recommendation.
        wishes: what was asked.
        goals: metric on test that configurations are ordered by; none for accuracy.
    """
    return {
        **_entry_document(advice.chosen),
        **{name: advice.chosen.cost(name) for name in goals},
        "asked": _wishes_document(wishes),
        "among": advice.among,
        "low_among": advice.low,
        "reached": advice.reached,
        "best": advice.best and _versus_document(advice.best),
        "cheaper": [_versus_document(one) for one in advice.cheaper],
    }


def nothing_document(found: Nothing, wishes: Wishes) -> dict[str, Any]:
    """What excludes every configuration, and the nearest miss."""
    return {
        "configuration": None,
        "asked": _wishes_document(wishes),
        "excluded": {
            limit.option: [entry.confirmed.name for entry in entries]
            for limit, entries in found.excluded
        },
        "inaccurate": [entry.confirmed.name for entry in found.inaccurate],
        "nearest": _entry_document(found.nearest),
    }


def _wishes_document(wishes: Wishes) -> dict[str, float | None]:
    limits = {limit.option: limit.most for limit in wishes.limits}
    return {**limits, "--min-accuracy": wishes.accuracy}


def _entry_document(entry: Entry) -> dict[str, Any]:
    trial = entry.confirmed.trial
    runs = [run for run in entry.confirmed.runs if run.test]
    return {
        "configuration": trial.trial,
        "arm": trial.arm,
        "strategy": trial.strategy,
        "knobs": trial.knobs,
        "learning_rate": trial.learning_rate,
        "accuracy": asdict(entry.accuracy),
        "seeds": {str(run.seed): value
                  for run, value in zip(runs, entry.seeds.values, strict=True)},
        "front_probability": entry.front_probability,
        "device_shared": entry.confirmed.was_shared,
        "devices": devices_of(entry.confirmed.runs),
        **{name: entry.cost(name) for name in ("trained_parameters", LATENCY, "stored_bytes")},
    }  # fmt: skip


def _versus_document(one: Versus) -> dict[str, Any]:
    return {
        **_entry_document(one.other),
        "difference": asdict(one.difference),
        "p": one.p,
        "is_different": one.is_different,
    }
