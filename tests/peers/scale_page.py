"""The page on scale: what was measured, by what law it grows, and what follows at 100,000."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls

from tests.peers.render import machine_told
from tests.peers.tables import table

MOST = 100_000
NUMBERS = (100, 1000, 10_000, MOST)
TITLES = {
    "random": "search of one arm, `--sampler random`",
    "tpe": "search of one arm, `--sampler tpe`",
    "read": "reading the ledger",
    "status": "`paretune status`",
    "leaderboard": "`paretune leaderboard`, after reading",
    "report": "`paretune report`, after reading",
}
TERMS = ("constant", "linear", "quadratic")


class Law:
    """Seconds as c + a·n + b·n² with no negative part, fitted to relative errors.

    Args:
        points: trials and seconds.
    """

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        numbers = np.array([n for n, _ in points], dtype=float)
        seconds = np.array([s for _, s in points], dtype=float)
        terms = np.stack([np.ones_like(numbers), numbers, numbers**2], axis=1)
        self.parts, _ = nnls(terms / seconds[:, None], np.ones_like(seconds))

    def at(self, number: float) -> float:
        """Seconds with so many trials."""
        return float(self.parts @ np.array([1.0, number, number**2]))

    def grows(self, number: float) -> str:
        """The term that weighs most with so many trials."""
        return TERMS[int(np.argmax(self.parts * np.array([1.0, number, number**2])))]


def page(found: dict[str, Any]) -> str:
    """The page as Markdown."""
    blocks = [
        "# Scale",
        machine_told(found["machine"]),
        "Made by `make bench-scale`. Driver, workers and Ray share the cores: growth counts, not"
        " seconds. Read with [docs/scale.md](../../docs/scale.md).",
    ]
    if parts := found.get("parts"):
        blocks += ["## Parts", _told(found["parts_at"]), *_parts(parts)]
    if sweeps := found.get("sweeps"):
        blocks += ["## Whole sweeps", _told(found["sweeps_at"]), *_sweeps(sweeps)]
    return "\n\n".join(blocks) + "\n"


def _told(state: dict[str, Any]) -> str:
    return (
        f"At commit {state['commit'] or '-'}; before it began, {state['load']:.1f} processes were"
        " running."
    )


def _parts(parts: dict[str, list[dict[str, float]]]) -> list[str]:
    rows = []
    for name, title in TITLES.items():
        points = [(p["trials"], p["seconds"]) for p in parts.get(name, [])]
        if len(points) < 2:
            continue
        law, known = Law(points), dict(points)
        cells = [_cell(n, known, law) for n in NUMBERS]
        rows.append((title, *cells, law.grows(MOST)))
    heads = [f"{n:,}" for n in NUMBERS]
    late = [
        (TITLES[name], *_at_the_end(parts[name])) for name in ("random", "tpe") if name in parts
    ]
    wrote, read = parts["write"][-1], parts["read"][-1]
    return [
        "Seconds by number of trials, each in a process of its own. In *italics*: extrapolated by"
        " c + a·n + b·n² fitted to what was measured; the last column is the term that weighs most"
        f" at {MOST:,}.",
        table(("part", *heads, "grows"), rows),
        "Milliseconds to propose a trial and take in its end, of the last tenth of the trials.",
        table(("part", "trials", "ms"), [(t, n, ms) for t, *pairs in late for n, ms in pairs]),
        f"A record with the answers to 500 questions is {wrote['bytes'] / 1000:.1f} kB;"
        f" writing it takes {parts['write'][0]['late'] * 1000:.1f} ms, with the disk's word that it"
        f" is there. {read['trials']:,.0f} of them take {read['bytes'] / 2**20:.0f} MiB of memory.",
    ]


def _at_the_end(points: list[dict[str, float]]) -> list[tuple[str, str]]:
    return [(f"{p['trials']:,.0f}", f"{p['late'] * 1000:.2f}") for p in points]


def _cell(number: int, known: dict[float, float], law: Law) -> str:
    if number in known:
        return _seconds(known[number])
    return f"*{_seconds(law.at(number))}*"


def _seconds(value: float) -> str:
    """With two digits that count."""
    digits = max(0, 1 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{digits}f}"


def _sweeps(sweeps: list[dict[str, Any]]) -> list[str]:
    busy = [sweep for sweep in sweeps if sweep["rest"]]
    return [
        *_empty([sweep for sweep in sweeps if not sweep["rest"]]),
        "## More workers",
        f"Likewise, but every trial takes {busy[0]['rest']:g} s in which no core is busy. Ideal:"
        " that time over the workers; share of it: what is reached in the second half of the"
        " trials, when all workers have started.",
        table(
            ("workers", "trials", "ms/trial, ideal", "ms/trial", "share", "driver MiB"),
            [
                (
                    str(s["workers"]), f"{s['trials']:,}", _ms(s["rest"] / s["workers"]),
                    _ms(s["settled"]), f"{s['rest'] / s['workers'] / s['settled']:.2f}",
                    f"{s['memory'] / 2**20:.0f}",
                )
                for s in busy
            ],
        ),
    ]  # fmt: skip


def _empty(sweeps: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            s["sampler"], f"{s['trials']:,}", str(s["workers"]), str(s["epochs"]),
            f"{s['seconds']:.0f}", f"{s['pace'] * 1000:.0f}", _ms(s["early"]), _ms(s["late"]),
            f"{s['memory'] / 2**20:.0f}",
        )
        for s in sweeps
    ]  # fmt: skip
    heads = (
        "sampler", "trials", "workers", "epochs", "s", "ms/trial", "driver, first half",
        "driver, second half", "driver MiB",
    )  # fmt: skip
    return [
        "Trials of a strategy that computes nothing, without confirmation. s: from start to end;"
        " ms/trial: between two records; driver: milliseconds of computing of the command's own"
        " process per trial, in both halves of the trials.",
        table(heads, rows),
    ]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"
