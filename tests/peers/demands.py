"""What the figures are asked to show, in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FASTER = {
    ("peers", "documented"): 6.0,
    ("peers", "tuned"): 3.0,
    ("full", "documented"): 1.0,
    ("full", "tuned"): 1.0,
}
"""Least ratio of a peer's wall time to ours."""

TWO_WORKERS = 1.0
"""Least ratio of the wall time with one worker to that with two."""

HYPERVOLUME_KEPT = 0.98
"""Least ratio of the hypervolume with halving to that without."""

HALVING_SECONDS = 0.5
"""Most train seconds with halving, as a share of those without."""

OVERHEAD_SECONDS = 0.15
"""Most seconds per trial of a strategy that computes nothing, at the largest number of trials."""

FLAT = 1.25
"""Most growth, within the run of most trials, of the seconds per trial from around the end of its
first tenth to its last tenth, and of the driver's memory from its half to its end."""

AS_FAST_AS_PEFT = ("lora", "prompt", "prefix")
UTILISATION = 0.55
"""Least share of the measured matrix-product peak, of the methods below."""

UTILISED = ("full", "lora")

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
    for section, trials in (("halving", "short trials"), ("longer", "longer trials")):
        text = (
            f"halving of {trials} keeps {HYPERVOLUME_KEPT:.0%} of the hypervolume in at most"
            f" {HALVING_SECONDS:.0%} of the train seconds"
        )
        if section not in found:
            yield _unknown(text)
            continue
        runs = found[section]["runs"]
        volume, seconds = (
            quotient(runs["with"][key], runs["without"][key])
            for key in ("hypervolume", "train_seconds")
        )
        yield Demand(
            text=text,
            figure=f"{volume:.3f} in {seconds:.3f}",
            met=volume >= HYPERVOLUME_KEPT and seconds <= HALVING_SECONDS,
        )


def _overhead(found: dict[str, Any]) -> Iterator[Demand]:
    mean = f"a trial that computes nothing costs at most {OVERHEAD_SECONDS:g} s"
    paces = {
        sampler: f"sampler {sampler}: the last trials cost at most {FLAT:g} times the early ones"
        for sampler in ("tpe", "random")
    }
    memory = f"the driver's memory from half the trials to all of them: at most {FLAT:g} times"
    if "overhead" not in found:
        yield from map(_unknown, (mean, *paces.values(), memory))
        return
    last = {sampler: runs[-1] for sampler, runs in found["overhead"].items()}
    cost = last["tpe"]["mean"]
    yield Demand(text=mean, figure=f"{cost:.3f}", met=cost <= OVERHEAD_SECONDS)
    for sampler, text in paces.items():
        growth = quotient(last[sampler]["pace"]["late"], last[sampler]["pace"]["early"])
        yield Demand(text=text, figure=f"{growth:.2f}", met=growth <= FLAT)
    _, half, whole = last["tpe"]["driver"]
    growth = quotient(whole or 0, half or 0)
    yield Demand(text=memory, figure=f"{growth:.2f}", met=growth <= FLAT)


def _steps(found: dict[str, Any]) -> Iterator[Demand]:
    rows = found["steps"]["rows"] if "steps" in found else {}
    for name in AS_FAST_AS_PEFT:
        text = f"a training step of {name} as fast as by PEFT in the same loop, within noise"
        seconds = rows.get(name, {}).get("seconds", {})
        if "other_same_loop" not in seconds:
            yield _unknown(text)
            continue
        ratio = rows[name]["ratio"]["other_same_loop"]
        figure = f"{ratio['median']:.3f} ± {2 * ratio['error']:.3f}"
        yield Demand(text=text, figure=figure, met=ratio["median"] + 2 * ratio["error"] >= 1)
    for name in UTILISED:
        text = f"{name}: model FLOPs utilisation of the matrix-product peak at least {UTILISATION}"
        if name not in rows:
            yield _unknown(text)
            continue
        row, peak = rows[name], found["steps"]["peak"]["best"]
        real, padded = (
            row[key] / row["seconds"]["ours"] / peak for key in ("real_flops", "padded_flops")
        )
        figure = f"{padded:.2f} of tokens computed, {real:.2f} of tokens of text"
        yield Demand(text=text, figure=figure, met=padded >= UTILISATION)


def _memory(found: dict[str, Any]) -> Iterator[Demand]:
    for section in ("peers", "full"):
        for kind in ("documented", "tuned"):
            text = f"{NAMES[section]}: peak memory of a worker at most the {kind} peer's"
            if section not in found:
                yield _unknown(text)
                continue
            own = found[section]["ours"]["worker"]["rss"]
            theirs = found[section]["peers"][kind]["worker"]["rss"]
            yield Demand(text=text, figure=f"{own / theirs:.2f}", met=own <= theirs)


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
    _overhead,
    _steps,
    _scaling,
    _memory,
    _halving,
    _precision,
)
