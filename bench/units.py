"""Amounts and times as people write them, such as 300k, 5MiB, 30m or 1h30m."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = r"\d+(?:\.\d+)?"
_AMOUNT = re.compile(rf"({_NUMBER}|\.\d+)\s*([a-z%]*)", re.ASCII)
_DURATION = re.compile(rf"(?:({_NUMBER})h)?\s*(?:({_NUMBER})m)?\s*(?:({_NUMBER})s)?", re.ASCII)
_SECONDS = (3600, 60, 1)


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


def duration(text: str) -> float | None:
    """Seconds of a text such as ``1h30m``, or of plain seconds; ``None`` if it is none or 0."""
    if plain := amount(text, {"": 1}):
        return plain
    found = _DURATION.fullmatch(text.strip().lower())
    parts = found.groups(default="0") if found else ()
    return sum(float(number) * unit for number, unit in zip(parts, _SECONDS, strict=False)) or None


@dataclass(frozen=True)
class Duration:
    """A time above 0.

    Attributes:
        said: as a person says it, such as ``1h30m``.
        seconds: the same.
    """

    said: str
    seconds: float

    @classmethod
    def of(cls, text: str) -> Duration:
        """From what was typed.

        Raises:
            ValueError: it is no time above 0.
        """
        seconds = duration(text)
        if seconds is None:
            raise ValueError("must be a time above 0 such as 90s, 30m, 2h, 1h30m or plain seconds")
        said = re.sub(r"\s+", "", text)
        return cls(f"{said}s" if said[-1].isdigit() else said, seconds)

    def __str__(self) -> str:
        return self.said


def duration_of(option: str, text: str | None, problems: list[str]) -> float | None:
    """Seconds of an option; ``None`` if it was not given or is no time, which is noted."""
    seconds = None if text is None else duration(text)
    if text is not None and seconds is None:
        problems.append(
            f"{option} {text}: must be a time above 0 such as 90s, 30m, 2h, 1h30m or plain seconds"
        )
    return seconds
