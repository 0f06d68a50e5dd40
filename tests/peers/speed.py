"""The speed benchmark: ``python -m tests.peers.speed``, run by ``make bench``.

Every section leaves its figures as JSON in the scratch folder; ``--render`` writes the published
page from whatever sections lie there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.data.sources import EMBEDDED
from bench.study.provenance import commit
from tests.peers import compare, noop, on_gpu, render, steps, studies
from tests.peers.measure import CommandFailed, machine
from tests.peers.settings import (
    DEFAULT_DATASET,
    PUBLISHED,
    SCALES,
    SCRATCH,
    Bench,
    choose_dataset,
)

SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "peers": compare.compare_lora,
    "utmost": compare.compare_utmost,
    "full": compare.compare_full,
    "overhead": noop.overhead,
    "steps": steps.steps,
    "workers": studies.workers,
    "halving": studies.halving,
    "longer": studies.halving_longer,
    "precision": studies.precision,
    "gpu": on_gpu.on_gpu,
}
ON_DEMAND = {"utmost", "longer"}
"""Sections that run only if they are named."""


def main() -> int:
    options = _options()
    chosen = (
        options.only.split(",") if options.only else [s for s in SECTIONS if s not in ON_DEMAND]
    )
    unknown = sorted(set(chosen) - SECTIONS.keys())
    if unknown:
        _say(f"unknown: {', '.join(unknown)}; sections are {', '.join(SECTIONS)}")
        return 2
    dataset = choose_dataset(options.dataset)
    bench = Bench(
        scale=SCALES[options.scale], dataset=dataset, dataset_name=Path(dataset).name or dataset
    )
    if dataset == EMBEDDED and options.dataset is None:
        _say(f"{DEFAULT_DATASET.name} is not beside the project; the embedded questions are used")
    failed = [] if options.render else [name for name in chosen if not _measure(name, bench)]
    stored = {name: _stored(name) for name in SECTIONS}
    page = render.page(stored)
    if not any(document and document["scale"] == "smoke" for document in stored.values()):
        PUBLISHED.parent.mkdir(parents=True, exist_ok=True)
        PUBLISHED.write_text(page, encoding="utf-8")
    _say(page)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure paretune against what it replaces.")
    parser.add_argument("--scale", choices=SCALES, default="whole", help="how much to run")
    unasked = f"without this all but {', '.join(sorted(ON_DEMAND))}"
    parser.add_argument("--only", help=f"sections with commas: {', '.join(SECTIONS)}; {unasked}")
    parser.add_argument("--dataset", help="folder of questions, or a known name")
    parser.add_argument("--render", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


def _measure(name: str, bench: Bench) -> bool:
    """Runs a section and stores what it found; a failed one is told and leaves nothing."""
    _say(f"{name}: running ({bench.scale.name}, {bench.dataset_name})")
    _file(name).unlink(missing_ok=True)
    start = time.perf_counter()
    try:
        found = SECTIONS[name](bench)
    except CommandFailed as error:
        _say(f"{name}: FAILED\n{error}")
        return False
    seconds = time.perf_counter() - start
    document = {
        "scale": bench.scale.name,
        "dataset": bench.dataset_name,
        "commit": commit(),
        "machine": machine(),
        "seconds": seconds,
        "found": found,
    }
    _file(name).parent.mkdir(parents=True, exist_ok=True)
    _file(name).write_text(json.dumps(document, indent=1), encoding="utf-8")
    _say(f"{name}: done in {seconds:.0f} s\n")
    return True


def _stored(name: str) -> dict[str, Any] | None:
    path = _file(name)
    return json.loads(path.read_bytes()) if path.exists() else None


def _file(name: str) -> Path:
    return SCRATCH / f"{name}.json"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
