"""One part of what a run costs with many trials, measured in a process of its own.

``python -m tests.peers.scale_parts PART NUMBER FOLDER`` prints its figures as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.spec import TrainSettings, TrialSpec
from bench.records.trial_record import Parameters, Status, TrialRecord
from bench.space import Value
from bench.storage.files import to_json
from bench.storage.ledger import Ledger
from bench.study.arm import Arm
from bench.tune.plan import Plan
from bench.tune.report import importances
from reports.text.terminal import leaderboard_view
from reports.write import render
from search_spaces.lora import SPACE
from strategies.lora import LoRA
from tests.helpers.busy import ACCURACIES, busy_run
from tests.helpers.records import trial

ARM = Arm(name="lora", strategy=LoRA, fixed={}, space=SPACE)
SYNCED = 1000
"""Records that are written as a run writes them; the others of a large folder come unsynced."""


def plan(sampler: str, number: int) -> dict[str, float]:
    """Seconds to ask for and tell so many trials of one arm, and of one trial at the end."""
    result = trial()
    given = Plan([ARM], planned={ARM.name: number}, sampler=sampler, seed=0, make_spec=_spec)
    moments = [time.perf_counter()]
    while (spec := given.next()) is not None:
        given.finish(_ended(spec, result))
        moments.append(time.perf_counter())
    last = max(1, number // 10)
    return {
        "seconds": moments[-1] - moments[0],
        "late": (moments[-1] - moments[-1 - last]) / last,
    }


def _spec(arm: Arm, number: int, values: Mapping[str, Value]) -> TrialSpec:
    strategy, learning_rate = arm.build(values)
    return TrialSpec(
        study="scale", arm=arm.name, number=number, strategy=strategy, learning_rate=learning_rate,
 task=MultipleChoice(),
        seed=0, settings=TrainSettings(), data="data", model="model", code="code",
        context="context",
    )  # fmt: skip


def _ended(spec: TrialSpec, result: TrialRecord) -> TrialRecord:
    """Made-up ends whose accuracies differ."""
    assert result.accuracy is not None
    assert isinstance(result.parameters, Parameters)
    share = int(spec.fingerprint[:6], 16) / 16**6
    rank = int(spec.values["rank"])
    return TrialRecord.of(
        spec,
        Status.COMPLETED,
        accuracy=result.accuracy.model_copy(update={"validation": share}),
        parameters=result.parameters.model_copy(update={"trained": 1000 * rank}),
    )


def write(folder: Path, number: int) -> dict[str, float]:
    """A run folder of so many made-up records: seconds and bytes per record."""
    run = busy_run(trials=number // len(ACCURACIES))
    ledger = Ledger(folder)
    ledger.write_study(run.study)
    if run.freeze:
        ledger.write_freeze(run.freeze)
    records = [*run.confirmed, *run.searched]
    began = time.perf_counter()
    for record in records[:SYNCED]:
        ledger.write(record)
    seconds = (time.perf_counter() - began) / len(records[:SYNCED])
    trials = folder / "trials"
    for record in records[SYNCED:]:
        (trials / f"{record.fingerprint}.json").write_bytes(to_json(record))
    size = sum(path.stat().st_size for path in trials.iterdir()) / len(records)
    return {"late": seconds, "bytes": size}


def read(folder: Path, number: int) -> dict[str, float]:
    """Reading all records: seconds, and resident bytes that they take."""
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.perf_counter()
    found = Ledger(folder).records()
    seconds = time.perf_counter() - began
    if len(found.readable) < number * 0.99:
        raise ValueError(f"{folder}: {len(found.readable)} of {number} records")
    return {"seconds": seconds, "bytes": process.memory_info().rss - before}


def status(folder: Path, number: int) -> dict[str, float]:
    """``paretune status``, from reading to printing."""
    from bench.cli.status import show_status

    with redirect_stdout(io.StringIO()):
        return _timed(lambda: show_status(folder, as_json=True))


def leaderboard(folder: Path, number: int) -> dict[str, float]:
    """The leaderboard of records that are read already, drawn for the first time."""
    run = Ledger(folder).run()
    console = Console(file=io.StringIO(), width=120)
    return _timed(lambda: console.print(leaderboard_view(run, None)))


def report(folder: Path, number: int) -> dict[str, float]:
    """Every file of the report, of records that are read already."""
    run = Ledger(folder).run()
    return _timed(lambda: render(run, importances(run)))


def _timed(do: Callable[[], object]) -> dict[str, float]:
    began = time.perf_counter()
    do()
    return {"seconds": time.perf_counter() - began}


PARTS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "random": lambda folder, number: plan("random", number),
    "tpe": lambda folder, number: plan("tpe", number),
    "write": write,
    "read": read,
    "status": status,
    "leaderboard": leaderboard,
    "report": report,
}


def main(part: str, number: str, folder: str) -> None:
    found: dict[str, Any] = PARTS[part](Path(folder), int(number))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
