"""A made-up run that has everything a real one can have: the data of the report's tests.

Several knobs per arm, trials that were stopped early or broke, a lost seed, latencies before and
after deployment, and as many trials as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from bench.records.spec import TrainSettings
from bench.records.study_record import Candidate, Freeze, Halving, Run, StudyRecord
from bench.records.trial_record import Inference, Latency, Status, TrialRecord
from reports.analysis import Analysis, analyse
from tests.helpers.records import PARAMETERS, broken, study, trial
from tests.helpers.simulate import World, confirming

ACCURACIES = {
    "full": 0.62, "adapter": 0.58, "lora": 0.61, "prefix": 0.47, "bitfit": 0.53, "prompt": 0.34,
    "linear": 0.30,
}  # fmt: skip
EPOCHS = 8
SPACES = {
    "full": {"learning_rate": "1e-05 … 0.0002 (log)"},
    "adapter": {
        "bottleneck": "2 … 256 (log)",
        "placement": "pfeiffer | houlsby",
        "learning_rate": "0.0001 … 0.005 (log)",
    },
    "lora": {
        "rank": "1 … 64 (log)",
        "targets": "query_value | attention | all_linear",
        "dropout": "0 … 0.3",
        "learning_rate": "0.0001 … 0.005 (log)",
    },
    "prefix": {"length": "1 … 64 (log)", "learning_rate": "0.001 … 0.05 (log)"},
    "bitfit": {"learning_rate": "0.0001 … 0.01 (log)"},
    "prompt": {"length": "1 … 64 (log)", "learning_rate": "0.001 … 0.1 (log)"},
    "linear": {"learning_rate": "0.0001 … 0.01 (log)"},
}
OUTCOMES = (
    (Status.FAILED, "RuntimeError: the loss is not finite after step 12"),
    (Status.OUT_OF_MEMORY, "CUDA out of memory: 2.1 GiB asked, 0.4 GiB free"),
    (Status.DIVERGED, "loss was nan in epoch 2"),
    (Status.PRUNED, "stopped early after epoch 2"),
)
IMPORTANCES = {
    "lora": {"learning_rate": 0.62, "rank": 0.21, "targets": 0.13, "dropout": 0.04},
    "adapter": {"learning_rate": 0.7, "bottleneck": 0.27, "placement": 0.03},
    "prefix": {"learning_rate": 0.81, "length": 0.19},
}


def busy_run(
    trials: int = 12, *, arms: tuple[str, ...] = tuple(ACCURACIES), seed: int = 0, **changes: Any
) -> Run:
    """A run of up to seven arms.

    Args:
        trials: per arm in the search.
        arms: of those above.
        seed: of everything made up.
        changes: fields of the study.
    """
    generator = np.random.default_rng(seed)
    searched = [_searched(arm, number, generator) for arm in arms for number in range(trials)]
    candidates = [_best(searched, arm) for arm in arms]
    seeds = tuple(range(1001, 1006))
    frozen = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=r.number, is_best=True,
                  on_front=r.arm != "full")
        for r in candidates
    )  # fmt: skip
    freeze = Freeze(searched="0" * 16, seeds=seeds, candidates=frozen)
    again = _again(candidates, seeds, generator)
    return Run.of(_asked(arms, trials, changes), [*searched, *again], freeze)


@cache
def busy_analysis() -> Analysis:
    """Of three arms with 12 trials each; computed once for all tests."""
    return analyse(busy_run(arms=("full", "adapter", "lora")), IMPORTANCES)


def _again(
    candidates: list[TrialRecord], seeds: tuple[int, ...], generator: np.random.Generator
) -> list[TrialRecord]:
    """The candidates on fresh seeds, of which one is lost."""
    world = World(seeds=len(seeds))
    skills = [world.skill(ACCURACIES[chosen.arm]) for chosen in candidates]
    test, validation = world.right(skills, generator), world.right(skills, generator)
    again = [
        confirming(chosen, fresh, validation[place, index], test[place, index], generator)
        for place, chosen in enumerate(candidates)
        for index, fresh in enumerate(seeds)
    ]
    return [_lost(record) if _is_lost(record) else _curve(record) for record in again]


def _asked(arms: tuple[str, ...], trials: int, changes: dict[str, Any]) -> StudyRecord:
    fields: dict[str, Any] = {
        "planned": trials,
        "confirm": 5,
        "spaces": {arm: SPACES[arm] for arm in arms},
        "contexts": dict.fromkeys(arms, "abcd000011112222"),
        "sampler": "random",
        "settings": TrainSettings(epochs=EPOCHS),
        "halving": Halving(reduction_factor=4, grace_epochs=2),
    }
    return study(arms, **{**fields, **changes})


def bounds(space: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Ends of the numeric ranges."""
    ends = {name: text.removesuffix(" (log)").split(" … ") for name, text in space.items()}
    return {name: (float(pair[0]), float(pair[1])) for name, pair in ends.items() if pair[1:]}


def _searched(arm: str, number: int, generator: np.random.Generator) -> TrialRecord:
    outcome = OUTCOMES[int(generator.integers(4))] if generator.random() < 0.15 else None
    if outcome and outcome[0] is Status.PRUNED and arm not in ("adapter", "lora"):
        outcome = None
    values = {name: _draw(text, generator) for name, text in SPACES[arm].items()}
    rate = values.pop("learning_rate")
    if number and outcome and outcome[0] is not Status.PRUNED:
        asked = {"knobs": values, "learning_rate": rate}
        return broken(arm, number, *outcome).model_copy(update=asked)
    low, high = bounds(SPACES[arm])["learning_rate"]
    place = math.log(rate / low) / math.log(high / low)
    top = ACCURACIES[arm] + 0.03 - 0.5 * max(0.0, abs(place - 0.6) - 0.15)
    right = round(500 * max(0.22, top - abs(generator.normal(0, 0.03))))
    size = values.get("rank", values.get("length", values.get("bottleneck", 8))) / 8
    record = trial(
        arm,
        number,
        right=right,
        parameters=385 + round((PARAMETERS[arm] - 385) * (size if len(values) else 1)),
        knobs=values,
        learning_rate=rate,
        epochs=EPOCHS,
        inference=_inference(arm, generator),
        peak_bytes=round(2**30 * (2.4 if arm == "full" else 1.1) * generator.uniform(0.97, 1.03)),
    )
    if number and outcome:
        assert record.accuracy is not None
        early = record.accuracy.model_copy(update={"per_epoch": (0.27, 0.31), "validation": 0.31})
        update = {"status": Status.PRUNED, "reason": outcome[1], "accuracy": early}
        return record.model_copy(update=update)
    return _curve(record)


def _draw(text: str, generator: np.random.Generator) -> Any:
    if " | " in text:
        return str(generator.choice(text.split(" | ")))
    low, high = (float(end) for end in text.removesuffix(" (log)").split(" … "))
    if not text.endswith("(log)"):
        return round(float(generator.uniform(low, high)), 3)
    value = math.exp(generator.uniform(math.log(low), math.log(high)))
    return round(value) if low >= 1 else value


def _curve(record: TrialRecord) -> TrialRecord:
    assert record.accuracy is not None
    end, start = record.accuracy.validation, 0.25
    rise = [round(start + (end - start) * (1 - 0.55**n), 3) for n in range(1, EPOCHS)]
    accuracy = record.accuracy.model_copy(
        update={"per_epoch": (*rise, end), "best_epoch": EPOCHS, "before": start}
    )
    return record.model_copy(update={"accuracy": accuracy})


def _inference(arm: str, generator: np.random.Generator) -> Inference:
    extra = {"adapter": 0.9, "prefix": 0.4, "lora": 0.0}.get(arm, 0.0)
    single = Latency(
        batch_size=1, repeats=20, p50=4.2 + extra + float(generator.uniform(0, 0.3)),
        p95=5.1 + extra + float(generator.uniform(0, 0.6)), iqr=0.3,
    )  # fmt: skip
    batched = single.model_copy(update={"batch_size": 32, "p50": single.p50 / 4, "p95": 1.6})
    merged = arm == "lora"
    return Inference(
        seconds=2.5,
        questions_per_second=1000 / batched.p50,
        single=single,
        batched=batched,
        undeployed=single.model_copy(update={"p50": 5.6, "p95": 6.9}) if merged else None,
        undeployed_batched=batched.model_copy(update={"p50": 1.5, "p95": 1.9}) if merged else None,
    )


def _best(records: list[TrialRecord], arm: str) -> TrialRecord:
    mine = [r for r in records if r.arm == arm and r.status is Status.COMPLETED]
    return max(mine, key=lambda r: r.accuracy.validation if r.accuracy else 0.0)


def _is_lost(record: TrialRecord) -> bool:
    return record.arm == "adapter" and record.seed == 1003


def _lost(record: TrialRecord) -> TrialRecord:
    gone = dict.fromkeys(("accuracy", "parameters", "seconds", "inference", "test"))
    reason = "loss was nan in epoch 3"
    return record.model_copy(update={**gone, "status": Status.DIVERGED, "reason": reason})
