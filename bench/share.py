"""A part of a study, for one of several commands that run it together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import StudyError


@dataclass(frozen=True)
class Share:
    """One part of so many; the whole is part 1 of 1.

    Attributes:
        number: of the part, from 1.
        of: parts there are.
    """

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def is_part(self) -> bool:
        """Whether there are other parts."""
        return self.of > 1

    @property
    def lock(self) -> str:
        """Name of the file that keeps others from running it too."""
        return f".shard-{self.number}-of-{self.of}.lock" if self.is_part else ".lock"

    def excludes(self, lock: str) -> bool:
        """Whether whoever else holds a lock may run trials of this part.

        Args:
            lock: its name, of any but this part's own.
        """
        if not self.is_part:
            return True
        return (
            lock == WHOLE.lock
            or re.fullmatch(rf"\.shard-\d+-of-(?!{self.of}\b)\d+\.lock", lock) is not None
        )

    def holds(self, arm: int, number: int) -> bool:
        """Whether a trial belongs to this part: every part gets as much of each arm as can be.

        Args:
            arm: its place in the study, from 0.
            number: of the trial in its arm.
        """
        return (arm + number) % self.of == self.number - 1


WHOLE = Share()


def make_share(text: str | None) -> Share:
    """From an option such as ``2/4``.

    Raises:
        StudyError: it is none.
    """
    if text is None:
        return WHOLE
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise StudyError(f"--shard {text}: must be I/N, the I-th of N parts, such as 2/4")
    return Share(int(found[1]), int(found[2]))
