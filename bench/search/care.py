"""What is done about trials whose worker dies or hangs: tried again, given up, or quarantine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import StudyError
from bench.record import Status
from bench.search.budget import duration

DEATHS = 2
"""Workers that a configuration may cost: after the last of them it is put in quarantine."""

GRACE = 15.0
"""Seconds that a worker whose time is up has to end by itself, before it is killed."""

NODE_LOST = re.compile(
    r"\bnode (?:has )?died|node was terminated|node failure|actor never ran", re.IGNORECASE
)
"""How Ray says that a worker went with its node, or could not begin: no trial is to blame."""


@dataclass(frozen=True, kw_only=True)
class Care:
    """How often and how long a trial is tried.

    Attributes:
        max_retries: times a trial is tried again after its worker died.
        timeout: seconds an attempt may take; ``None`` is without end.
        said: the timeout as a person says it.
    """

    max_retries: int = 2
    timeout: float | None = None
    said: str = ""


def make_care(max_retries: int, trial_timeout: str | None) -> Care:
    """From options.

    Raises:
        StudyError: with a sentence per option that does not fit.
    """
    problems = []
    seconds = None if trial_timeout is None else duration(trial_timeout)
    if trial_timeout is not None and seconds is None:
        problems.append(
            f"--trial-timeout {trial_timeout}: must be a time above 0 such as 90s, 30m, 2h, 1h30m"
            " or plain seconds"
        )
    if max_retries < 0:
        problems.append(f"--max-retries {max_retries}: must be 0 or more")
    if problems:
        raise StudyError(*problems)
    said = f"{seconds:g} s" if seconds is not None else ""
    return Care(max_retries=max_retries, timeout=seconds, said=said)


@dataclass(kw_only=True)
class Attempts:
    """Attempts of one trial.

    Attributes:
        count: begun so far.
        deaths: workers that died of it; those that went with their node or never began do not.
        lost: seconds of attempts that came to nothing.
        began: reading of the clock when the one at work began; ``None`` if none is.
    """

    count: int = 0
    deaths: int = 0
    lost: float = 0.0
    began: float | None = None

    def begin(self, now: float) -> None:
        """Notes a beginning, and the end of the attempt before if nobody has told it."""
        self.end(now)
        self.count += 1
        self.began = now

    def end(self, now: float) -> float:
        """Notes that an attempt came to nothing; returns the seconds it took."""
        taken = 0.0 if self.began is None else now - self.began
        self.lost += taken
        self.began = None
        return taken


def verdict(care: Care, attempts: Attempts, taken: float, error: str) -> tuple[Status, str] | None:
    """What becomes of a trial whose worker has died.

    Args:
        care: the rule.
        attempts: of the trial, the last one ended; a death is counted here.
        taken: seconds of the last one.
        error: what Ray says.

    Returns:
        How the trial ends and why; ``None`` if it is tried again.
    """
    lines = error.strip().splitlines() or ["no reason given"]
    if care.timeout is not None and taken >= care.timeout:
        return Status.TIMED_OUT, f"took longer than --trial-timeout {care.said}"
    lost = NODE_LOST.search(error) is not None
    attempts.deaths += not lost
    if attempts.deaths >= DEATHS:
        reason = f"its worker died {attempts.deaths} times, so it is not tried again: {lines[-1]}"
        return Status.QUARANTINED, reason
    if attempts.count > care.max_retries:
        whose = "node was lost or its worker could not begin" if lost else "worker died"
        return Status.FAILED, f"its {whose}, in attempt {attempts.count}: {lines[-1]}"
    return None
