"""Amounts as people write them, such as 300k, 1.2M or 5MiB, and the limits made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.errors import Faults, InputError
from reports.recommend import Limit, Wishes

COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
BYTES = {
    "": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
MILLISECONDS = {"": 1, "ms": 1, "s": 1000}
SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600}
SHARES = {"": 1.0, "%": 0.01}

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z%]*)", re.ASCII)


def amount(text: str, units: Mapping[str, float]) -> float | None:
    """A number above 0 with its unit, in upper or lower case; ``None`` if it is none.

    Args:
        text: such as ``1.2M``.
        units: factor per unit that is allowed, in lower case.
    """
    found = _AMOUNT.fullmatch(text.strip().lower())
    if found is None or found[2] not in units:
        return None
    return float(found[1]) * units[found[2]] or None


OPTIONS = {
    "--max-parameters": ("trained_parameters", COUNTS, "300k, 1.2M or 74113"),
    "--max-ms": ("inference_ms_p50", MILLISECONDS, "5, 0.8ms or 1s"),
    "--max-bytes": ("stored_bytes", BYTES, "5MB, 5MiB or 300000"),
}
"""Metric, units and examples of every limit."""

ACCURACY = "--min-accuracy"


def make_wishes(asked: Mapping[str, str | None]) -> Wishes:
    """What is asked of a configuration.

    Args:
        asked: text per option of ``OPTIONS`` and ``ACCURACY``; ``None`` if it was not given.

    Raises:
        InputError: with a sentence per option that is no limit.
    """
    faults = Faults()
    limits = []
    for option, (metric, units, examples) in OPTIONS.items():
        text = asked.get(option)
        most = None if text is None else amount(text, units)
        if most is not None:
            limits.append(Limit(option=option, metric=metric, most=most))
        elif text is not None:
            faults.add(f"{option} {text}: must be a number above 0 such as {examples}")
    text = asked.get(ACCURACY)
    accuracy = None if text is None else amount(text, SHARES)
    if text is not None and (accuracy is None or accuracy > 1):
        faults.add(f"{ACCURACY} {text}: must be above 0 and at most 1, such as 0.6 or 60%")
    faults.raise_any(InputError)
    return Wishes(limits=tuple(limits), accuracy=accuracy)
