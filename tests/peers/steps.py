"""Section 4: training steps per strategy, ours against PEFT, and what of the processor they use.

Run as a program with a JSON file that says how much; one thread; writes what it found beside it.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from torch import nn
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutput

from bench.strategy import Strategy
from bench.task import Batch
from strategies.adapter import Adapter
from strategies.bitfit import BitFit
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.peers import ours_inside
from tests.peers.flops import Flops, gemm_peak
from tests.peers.measure import run
from tests.peers.settings import BATCH_SIZE, MAX_LENGTH, Bench, fresh

TASK = TaskType.FEATURE_EXTRACTION
LENGTH = 8
RANK = 8
STRATEGIES: tuple[Strategy, ...] = (
    LoRA(rank=RANK),
    Prompt(length=LENGTH),
    Prefix(length=LENGTH),
    Adapter(bottleneck=64),
    BitFit(),
    Linear(),
    Full(),
)
OTHERS: dict[str, Any] = {
    "lora": LoraConfig(
        task_type=TASK, r=RANK, lora_alpha=2 * RANK, target_modules=["query", "value"]
    ),
    "prompt": PromptTuningConfig(task_type=TASK, num_virtual_tokens=LENGTH),
    "prefix": PrefixTuningConfig(task_type=TASK, num_virtual_tokens=LENGTH),
    "linear": None,
    "full": None,
}
"""PEFT's configuration of the same method; ``None`` for the plain model, adapted by nothing."""


def steps(bench: Bench) -> dict[str, Any]:
    """Section 4, in a process of its own with one thread."""
    scale = bench.scale
    questions = bench.questions(scale.train, scale.validation)
    path = fresh("steps") / "task.json"
    task = {"dataset": str(questions), "rounds": scale.rounds, "batches": scale.batches}
    path.write_text(json.dumps(task), encoding="utf-8")
    command = [sys.executable, "-m", "tests.peers.steps", str(path)]
    run(command, path.with_name("output.txt"), extra={"OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = json.loads(path.with_suffix(".result.json").read_bytes())
    return found


class Wrapped(nn.Module):
    """A model of PEFT, called as our backbones are; the states of its own vectors are cut off."""

    def __init__(self, model: nn.Module, cut: int, types: bool) -> None:
        super().__init__()
        self.model, self.cut, self.types = model, cut, types

    def forward(self, **inputs: Any) -> BaseModelOutput:
        if not self.types:
            inputs.pop("token_type_ids", None)  # PEFT warns of them at every call, and drops them
        states = self.model(**inputs).last_hidden_state
        return BaseModelOutput(last_hidden_state=states[:, self.cut :])


def other(name: str) -> nn.Module:
    """The backbone as PEFT adapts it."""
    backbone = ours_inside.source().backbone()
    config = OTHERS[name]
    if config is None:
        return backbone.requires_grad_(name == "full")
    model = get_peft_model(backbone, config)
    return Wrapped(model, LENGTH if name == "prompt" else 0, types=name == "lora")


def plain_loop(model: nn.Module, batches: list[Batch], precision: str) -> Callable[[], None]:
    """A training loop as tutorials write it."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 10_000)

    def epoch() -> None:
        model.train()
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = F.cross_entropy(model(batch), batch.answers)
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

    return epoch


def loops(strategy: Strategy, batches: list[Batch], precision: str) -> dict[str, Callable[[], Any]]:
    """What is timed against each other, by name."""
    torch.manual_seed(0)
    found: dict[str, Callable[[], Any]] = {}
    adapted = strategy.adapt(ours_inside.source().backbone())
    ours = ours_inside.model(adapted, precision, batches[0])
    found["ours"] = ours_inside.loop(ours, batches, precision)
    if strategy.name in OTHERS:
        same = ours_inside.model(other(strategy.name), precision, batches[0])
        found["other_same_loop"] = ours_inside.loop(same, batches, precision)
        plain = ours_inside.plain_model(other(strategy.name))
        found["other_plain_loop"] = plain_loop(plain, batches, precision)
    return found


def timed(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each per round, taken in turn, forwards and backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name in list(candidates)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            candidates[name]()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(theirs: list[float], own: list[float]) -> dict[str, float]:
    """Of two systems' seconds round by round: the median and its standard error.

    That of a median is 1.2533 times that of the mean of as many normal figures.
    """
    ratios = [other / ours for other, ours in zip(theirs, own, strict=True)]
    error = 1.2533 * statistics.stdev(ratios) / math.sqrt(len(ratios))
    return {"median": statistics.median(ratios), "error": error}


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Everything of the section."""
    torch.set_num_threads(1)
    precision = ours_inside.precision()
    dataset = Path(task["dataset"])
    batches = ours_inside.load_batches(dataset, BATCH_SIZE, MAX_LENGTH, task["batches"])
    padded = sum(batch.padded_tokens for batch in batches)
    peak = gemm_peak([padded // len(batches)], ours_inside.source().config(), precision)
    rows = {}
    for strategy in STRATEGIES:
        seconds, failure = _timed_or_told(strategy, batches, precision, task["rounds"])
        flops = Flops(strategy, batches[0])
        rows[strategy.name] = {
            "seconds": {which: statistics.median(taken) for which, taken in seconds.items()},
            "ratio": {which: ratio(taken, seconds["ours"]) for which, taken in seconds.items()},
            "other_failed": failure,
            "real_flops": flops.real(batches),
            "padded_flops": flops.padded(batches),
        }
    return {
        "precision": precision,
        "threads": torch.get_num_threads(),
        "batches": len(batches),
        "rounds": task["rounds"],
        "real_tokens": sum(batch.real_tokens for batch in batches),
        "padded_tokens": padded,
        "peak": peak,
        "rows": rows,
    }


def _timed_or_told(
    strategy: Strategy, batches: list[Batch], precision: str, rounds: int
) -> tuple[dict[str, list[float]], str | None]:
    """Seconds of all loops; of ours alone, with the reason, where PEFT cannot run the method."""
    candidates = loops(strategy, batches, precision)
    try:
        return timed(candidates, rounds), None
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        told = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return timed({"ours": candidates["ours"]}, rounds), told


def main() -> None:
    warnings.simplefilter("ignore")
    path = Path(sys.argv[1])
    found = measure(json.loads(path.read_bytes()))
    path.with_suffix(".result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
