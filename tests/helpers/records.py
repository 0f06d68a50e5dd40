"""Made-up records for the tests of the reports."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from bench.records.spec import TrainSettings, content_hash
from bench.records.study_record import (
    BaselineScore,
    Candidate,
    Freeze,
    Knob,
    Run,
    SplitSummary,
    StudyRecord,
)
from bench.records.trial_record import (
    Accuracy,
    Environment,
    Inference,
    Latency,
    Parameters,
    Seconds,
    Status,
    TestScore,
    TrialRecord,
)
from bench.space import Choice, Integer, Uniform
from reports.standings import best_trials
from tests.helpers.requests import usual_request

ENVIRONMENT = Environment(
    device="AMD EPYC 7B13",
    precision="fp32",
    threads=2,
    attention="sdpa",
    python="3.11.2",
    system="Linux-6.1-x86_64",
    packages={"torch": "2.13.0", "transformers": "5.23.0"},
)

PARAMETERS = {
    "linear": 385,
    "prompt": 2_305,
    "bitfit": 26_113,
    "ia3": 18_817,
    "lora": 74_113,
    "prefix": 92_545,
    "adapter": 301_000,
    "full": 22_713_601,
}
KNOBS: dict[str, dict[str, Any]] = {
    "linear": {},
    "prompt": {"tokens": 5},
    "bitfit": {},
    "lora": {"rank": 8, "alpha": 16.0, "targets": "query+value"},
    "prefix": {"length": 20},
    "adapter": {"bottleneck": 48, "placement": "houlsby"},
    "full": {},
}
ARMS = ("full", "adapter", "lora", "prefix", "prompt", "bitfit", "linear")


def study(arms: tuple[str, ...] = ARMS, planned: int = 4, **changes: Any) -> StudyRecord:
    """A study of the arms, one strategy each."""
    fields: dict[str, Any] = {
        "name": "demo",
        "command": "paretune sweep --preset demo",
        "request": usual_request(),
        "commit": "0123abc",
        "paretune": "0.1.0",
        "model": "all-MiniLM-L6-v2",
        "model_fingerprint": "aaaa000011112222",
        "tokenizer": "bbbb000011112222",
        "total_parameters": 22_713_216,
        "dataset": "elementary",
        "splits": {
            "train": SplitSummary(questions=2000, fingerprint="cccc000011112222"),
            "validation": SplitSummary(questions=500, fingerprint="dddd000011112222"),
            "test": SplitSummary(questions=500, fingerprint="eeee000011112222"),
        },
        "baselines": (
            BaselineScore(name="random", said="guessing", scores={"accuracy": 0.25}),
            BaselineScore(
                name="constant",
                said="the position that is right most often in training",
                scores={"accuracy": 0.26},
            ),
            BaselineScore(name="longest", said="the longest choice", scores={"accuracy": 0.31}),
        ),
        "contexts": {},
        "truncated": 0.012,
        "tokenise_seconds": 0.5,
        "arms": {arm: arm for arm in arms},
        "spaces": {arm: {"learning_rate": "1e-05 … 0.001 (log)"} for arm in arms},
        "starts": dict.fromkeys(arms, 1),
        "answers": (0,) * 500,
        "planned": dict.fromkeys(arms, planned),
        "settings": TrainSettings(),
        "sampler": "tpe",
        "seed": 0,
        "confirm": 0,
    }
    asked = {**fields, **changes}
    asked["spaces"] = {
        arm: {name: knob_of(knob) for name, knob in knobs.items()}
        for arm, knobs in asked["spaces"].items()
    }
    return StudyRecord(**asked)


def knob_of(said: Knob) -> Knob:
    """What a knob may be, from what reports show of it: a range, options, or one value."""
    if not isinstance(said, str):
        return said
    if " | " in said:
        return Choice(options=tuple(said.split(" | ")))
    low, dots, high = said.removesuffix(" (log)").partition(" … ")
    if not dots:
        return said
    log = said.endswith(" (log)")
    if low.isdigit() and high.isdigit():
        return Integer(low=int(low), high=int(high), log=log)
    return Uniform(low=float(low), high=float(high), log=log)


def answered(right: int, questions: int = 500) -> tuple[int, ...]:
    """Predictions of which so many are right, where choice 0 always is."""
    return (0,) * right + (1,) * (questions - right)


def trial(
    arm: str = "lora",
    number: int = 0,
    *,
    right: int = 300,
    parameters: int | None = None,
    test: int | None = None,
    shared: bool = False,
    **changes: Any,
) -> TrialRecord:
    """A completed trial with ``right`` of 500 validation and ``test`` of 500 test questions."""
    trained = PARAMETERS.get(arm, 1000) if parameters is None else parameters
    latency = Latency(batch_size=1, repeats=10, p50=4.2, p95=5.1, iqr=0.3)
    fields: dict[str, Any] = {
        "study": "demo",
        "arm": arm,
        "number": number,
        "fingerprint": content_hash([arm, number, right, parameters]),
        "context": "abcd000011112222",
        "strategy": arm,
        "knobs": KNOBS.get(arm, {}),
        "learning_rate": 1e-4,
        "seed": 17,
        "status": Status.COMPLETED,
        "epochs": 3,
        "accuracy": Accuracy(
            before=0.26,
            per_epoch=(right / 1000, right / 500, right / 500),
            validation=right / 500,
            best_epoch=2,
            predictions=answered(right),
        ),
        "parameters": Parameters(
            trained=trained,
            head=385,
            added=trained,
            total=22_713_216 + trained,
            trained_tensors=26,
            stored_bytes=trained * 4,
            added_at_inference=385,
        ),
        "seconds": Seconds(
            load=0.5,
            train=197.5,
            validation=3.0,
            checkpoint=0.1,
            train_per_question=0.03,
            lost=0.0,
            device_shared=shared,
        ),
        "inference": Inference(
            seconds=2.5,
            questions_per_second=200.0,
            single=latency,
            batched=latency.model_copy(update={"batch_size": 32, "p50": 1.1}),
            undeployed=None,
        ),
        "peak_bytes": 700_000_000,
        "environment": ENVIRONMENT,
        "test": test
        if test is None
        else TestScore(
            accuracy=test / 500,
            predictions=answered(test),
            answers=(0,) * 500,
            data="eeee000011112222",
        ),
    }
    return TrialRecord(**{**fields, **changes})


def broken(
    arm: str, number: int, status: Status = Status.FAILED, reason: str = "it broke"
) -> TrialRecord:
    """A trial that ended without a result."""
    return TrialRecord(
        study="demo",
        arm=arm,
        number=number,
        fingerprint=content_hash([arm, number, "broken"]),
        context="abcd000011112222",
        strategy=arm,
        knobs=KNOBS.get(arm, {}),
        learning_rate=1e-4,
        seed=17,
        status=status,
        reason=reason,
        epochs=3,
    )


_TYPICAL = {
    "full": 330,
    "adapter": 300,
    "lora": 306,
    "prefix": 255,
    "prompt": 190,
    "bitfit": 270,
    "linear": 165,
}


def realistic(trials: int = 4, seed: int = 0) -> list[TrialRecord]:
    """Seven arms that behave as methods do, the best of each with a test score."""
    generator = random.Random(seed)
    found = []
    for arm in ARMS:
        rights = [_TYPICAL[arm] + generator.randint(-45, 15) for _ in range(trials)]
        best = rights.index(max(rights))
        for number, right in enumerate(rights):
            scale = generator.choice((0.25, 0.5, 1, 2)) if len(KNOBS[arm]) else 1
            found.append(
                trial(
                    arm,
                    number,
                    right=right,
                    parameters=385 + int((PARAMETERS[arm] - 385) * scale),
                    test=right - generator.randint(0, 20) if number == best else None,
                    learning_rate=10 ** generator.uniform(-4.7, -3.3),
                )
            )
    return found


def one_seed_run(asked: StudyRecord, records: Sequence[TrialRecord]) -> Run:
    """A run without fresh seeds; the best trials are its candidates once one has a test score."""
    best = best_trials(records)
    candidates = tuple(
        Candidate(
            fingerprint=r.fingerprint, arm=r.arm, number=r.number, is_best=True, on_front=True
        )
        for r in best.values()
    )
    frozen = Freeze(searched="0" * 16, seeds=(), candidates=candidates)
    tested = any(record.test for record in best.values())
    return Run(study=asked, searched=tuple(records), freeze=frozen if tested else None)
