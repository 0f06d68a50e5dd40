"""What the figures are asked to show, in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FASTER = {
    ("peers", "documented"): 1.0,
    ("peers", "tuned"): 1.0,
    ("full", "documented"): 1.0,
    ("full", "tuned"): 1.0,
}
"""Least ratio of a peer's wall time to ours."""

TWO_WORKERS = 1.0
"""Least ratio of the wall time with one worker to that with two."""

HYPERVOLUME_KEPT = 0.95
"""Least ratio of the hypervolume with halving to that without."""

NAMES = {"peers": "LoRA", "full": "full fine-tuning"}


@dataclass(frozen=True, kw_only=True)
class Demand:
    """A demand, the figure it is judged by, and the verdict; ``None`` where it was not measured."""

    text: str
    figure: str
    met: bool | None


def judged(stored: dict[str, dict[str, Any] | None]) -> list[Demand]:
    """Every demand on what the sections found."""
    found = {
        name: document["found"]
        for name, document in stored.items()
        if document and "missing" not in document["found"]
    }
    return [demand for judge in JUDGES for demand in judge(found)]


def quotient(above: float, below: float) -> float:
    """Of two figures; not a number where the lower one is zero."""
    return above / below if below else math.nan


def _unknown(text: str) -> Demand:
    return Demand(text=text, figure="-", met=None)


def _speed(found: dict[str, Any]) -> Iterator[Demand]:
    for (section, kind), least in FASTER.items():
        text = f"{NAMES[section]}: wall time of the {kind} peer over ours at least {least:g}"
        if section not in found:
            yield _unknown(text)
            continue
        ratio = found[section]["peers"][kind]["seconds"] / found[section]["ours"]["seconds"]
        yield Demand(text=text, figure=f"{ratio:.2f}", met=ratio >= least)


def _accuracy(found: dict[str, Any]) -> Iterator[Demand]:
    for section, kind in FASTER:
        text = f"{NAMES[section]}: accuracy as of the {kind} peer, within noise"
        if section not in found:
            yield _unknown(text)
            continue
        difference = found[section]["peers"][kind]["difference"]
        met = difference["within_paired"] or difference["within_binomial"]
        yield Demand(text=text, figure=f"{difference['mean']:+.4f}", met=met)


def _scaling(found: dict[str, Any]) -> Iterator[Demand]:
    text = f"wall time with one worker over that with two at least {TWO_WORKERS:g}"
    if "workers" not in found:
        yield _unknown(text)
        return
    runs = found["workers"]["workers"]
    ratio = runs["1"]["seconds"] / runs["2"]["seconds"]
    yield Demand(text=text, figure=f"{ratio:.2f}", met=ratio >= TWO_WORKERS)


def _halving(found: dict[str, Any]) -> Iterator[Demand]:
    text = f"halving keeps {HYPERVOLUME_KEPT:.0%} of the hypervolume in less training time"
    if "halving" not in found:
        yield _unknown(text)
        return
    runs = found["halving"]["runs"]
    volume, seconds = (
        quotient(runs["with"][key], runs["without"][key])
        for key in ("hypervolume", "train_seconds")
    )
    yield Demand(
        text=text,
        figure=f"{volume:.3f} in {seconds:.3f}",
        met=volume >= HYPERVOLUME_KEPT and seconds < 1,
    )


def _precision(found: dict[str, Any]) -> Iterator[Demand]:
    text = "accuracy in bf16 as in fp32, within the noise of seeds, for every strategy"
    if "precision" not in found:
        yield _unknown(text)
        return
    rows = found["precision"]["rows"]
    figure = ", ".join(f"{name} {row['difference']:+.4f}" for name, row in rows.items())
    yield Demand(text=text, figure=figure, met=all(row["within"] for row in rows.values()))


JUDGES: tuple[Callable[[dict[str, Any]], Iterator[Demand]], ...] = (
    _speed,
    _accuracy,
    _scaling,
    _halving,
    _precision,
)
