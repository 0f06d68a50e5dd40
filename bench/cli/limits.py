"""The limits of a recommendation, from amounts as people write them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import Faults, InputError
from bench.units import amount
from reports.recommend import Limit, Wishes

COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
BYTES = {
    "": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
MILLISECONDS = {"": 1, "ms": 1, "s": 1000}
SHARES = {"": 1.0, "%": 0.01}

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
