"""Numbers as text for people: one rule per unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.space import Value
from reports.metrics import TrialFigure, Unit

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def share(value: float) -> str:
    """A share of questions: ``0.640``."""
    return f"{value:.3f}"


def interval(low: float, high: float) -> str:
    """An interval of shares: ``0.556 to 0.642``."""
    return f"{share(low)} to {share(high)}"


def half(low: float, high: float) -> str:
    """Half the width of an interval of shares: ``±.043``."""
    return f"±{(high - low) / 2:.3f}".replace("0.", ".", 1)


def points(difference: float) -> str:
    """A difference of two shares in percentage points: ``+4.2``, ``-0.3``, ``0.0``."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if float(text) == 0 else text


def probability(value: float) -> str:
    """A probability to two digits; one that is estimated is never quite 0 or 1."""
    if value > 0.995:
        return ">0.99"
    return "<0.01" if value < 0.005 else f"{value:.2f}"


def p_value(value: float) -> str:
    """A p-value to three digits: ``0.031``, ``<0.001``."""
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def listing(names: Sequence[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


MOST_NAMES = 6
"""Names that are said; of more it is said how many."""


def some(names: Sequence[str]) -> str:
    """The first names in a sentence, and how many more there are."""
    more = len(names) - MOST_NAMES
    return listing([*names[:MOST_NAMES], *([f"{more} more"] if more > 0 else [])])


def count(value: float) -> str:
    """A count in full: ``294,912``."""
    return f"{int(value):,}"


def short_count(value: float) -> str:
    """A count in at most four digits: ``385``, ``294.9k``, ``22.71M``."""
    for step, letter in _STEPS:
        # 999,950 would be rounded to 1000.0k
        if value >= step * 0.99995:
            scaled = value / step
            return (
                f"{scaled:.2f}{letter}"
                if scaled < 99.995 and step >= 1e6
                else (f"{scaled:.1f}{letter}")
            )
    return f"{int(value)}"


def duration(value: float) -> str:
    """Seconds in the units one would say: ``0.35 s``, ``42.1 s``, ``3 m 17.5 s``, ``2 h 05 m``."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    if value < 3599.95:
        minutes, seconds = divmod(round(value, 1), 60)
        return f"{minutes:.0f} m {seconds:04.1f} s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours} h {minutes:02d} m"


def short_duration(value: float) -> str:
    """Seconds in at most six characters: ``0.3s``, ``42.1s``, ``3m18s``, ``2h05m``."""
    if value < 59.95:
        return f"{value:.1f}s"
    if value < 3599.5:
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes}m{seconds:02d}s"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours}h{minutes:02d}m"


def milliseconds(value: float) -> str:
    """Milliseconds to three significant digits: ``0.412 ms``, ``12.3 ms``, ``1,240 ms``."""
    return f"{significant(value)} ms"


def significant(value: float) -> str:
    """A positive number to three significant digits, never in powers of ten."""
    decimals = 3 if value < 0.9995 else 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{decimals}f}"


def size(value: float) -> str:
    """Bytes in powers of 1,024: ``1.2 MiB``."""
    for step, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= step:
            return f"{value / step:.1f} {name}"
    return f"{int(value)} B"


def rate(value: float) -> str:
    """Questions per second."""
    return f"{significant(value)} /s"


def knob(value: Value) -> str:
    """A knob's value: reals to three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def knobs(values: Mapping[str, Value]) -> str:
    """Knobs on one line: ``rank=8 learning_rate=0.0003``."""
    return " ".join(f"{name}={knob(value)}" for name, value in values.items())


_BY_UNIT: dict[Unit, Callable[[float], str]] = {
    "share": share,
    "count": count,
    "s": duration,
    "ms": milliseconds,
    "bytes": size,
    "per s": rate,
}


def figure(metric: TrialFigure, value: float | None) -> str:
    """A metric's value in its unit; empty where it was not measured."""
    return "" if value is None else _BY_UNIT[metric.unit](value)


def round_count(value: float) -> str:
    """A power of ten as an axis says it: ``1k``, ``10M``."""
    for step, letter in _STEPS:
        if value >= step:
            return f"{value / step:g}{letter}"
    return f"{value:g}"
