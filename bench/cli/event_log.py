"""Log lines that a person reads and a process follows: a sentence, a tab, its event as JSON."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pydantic import ValidationError

from bench.records.events import Event, Told, from_line, to_line

FOLLOWED = "PARETUNE_EVENTS"
"""Variable that is 1 where the output of a sweep is followed by another process."""

MARK = "\t@"
"""Between sentence and event. Sentences hold no tabs."""


def is_followed() -> bool:
    """Whether another process follows what this one prints."""
    return os.environ.get(FOLLOWED) == "1"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line that was read.

    Attributes:
        text: what a person reads.
        told: its event; ``None`` where it has none.
    """

    text: str
    told: Told | None


def line(text: str, event: Event) -> str:
    """One line of a log, which ends it."""
    return f"{text}{MARK}{to_line(Told.now(event))}\n"


def read(line: str) -> Line:
    """Takes a line apart. What is no event is text."""
    text, mark, rest = line.rstrip("\n").partition(MARK)
    if mark:
        try:
            return Line(text=text, told=from_line(rest))
        except ValidationError:  # of another version: what a person reads is still right
            return Line(text=text, told=None)
    return Line(text=text, told=None)
