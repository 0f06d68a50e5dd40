"""What is done about trials whose worker dies or hangs: tried again, given up, or quarantine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.records.trial_record import Status, TrialRecord
from bench.study.run_options import RunOptions

DEATHS = 2
"""Workers that a configuration may cost: after the last of them it is put in quarantine."""

GRACE = 15.0
"""Seconds that a worker whose time is up has to end by itself, before it is killed."""

NODE_LOST = re.compile(r"\bnode (?:has )?died|node was terminated|node failure", re.IGNORECASE)
"""How Ray says that a worker went with its node, for which no trial is to blame."""


@dataclass(kw_only=True)
class Attempts:
    """Attempts of one trial.

    Attributes:
        count: begun so far.
        deaths: workers that died of it; those that went with their node do not count.
        unstarted: workers that died before the trial began on them.
        lost: seconds of attempts that came to nothing.
        began: reading of the clock when the one at work began; ``None`` if none is.
    """

    count: int = 0
    deaths: int = 0
    unstarted: int = 0
    lost: float = 0.0
    began: float | None = None

    def begin(self, now: float) -> None:
        """Notes a beginning, and the end of the attempt before if nobody has told it."""
        self.end(now)
        self.count += 1
        self.began = now

    def end(self, now: float) -> None:
        """Notes that the attempt at work, if there is one, came to nothing."""
        self.lost += 0.0 if self.began is None else now - self.began
        self.began = None


def verdict(
    options: RunOptions, attempts: Attempts, now: float, error: str, *, hung: bool
) -> tuple[Status, str] | None:
    """What becomes of a trial whose worker has died, which is counted here.

    Args:
        options: say how often and how long a trial is tried.
        attempts: of the trial.
        now: reading of the clock.
        error: what Ray says.
        hung: whether the worker said that its time was up.

    Returns:
        How the trial ends and why; ``None`` if it is tried again.
    """
    began = attempts.began
    attempts.end(now)
    last = (error.strip().splitlines() or ["no reason given"])[-1]
    timeout = options.trial_timeout
    if timeout and began is not None and (hung or now - began >= timeout.seconds):
        return Status.TIMED_OUT, f"took longer than --trial-timeout {timeout.seconds:g} s"
    blameless = began is None or NODE_LOST.search(error) is not None
    attempts.unstarted += began is None
    attempts.deaths += not blameless
    if attempts.deaths >= DEATHS:
        reason = f"its worker died {attempts.deaths} times, so it is not tried again: {last}"
        return Status.QUARANTINED, reason
    tries = attempts.count + attempts.unstarted
    if tries > options.max_retries:
        how = "node was lost or its worker could not begin" if blameless else "worker died"
        return Status.FAILED, f"its {how}, in attempt {tries}: {last}"
    return None


def with_attempts(record: TrialRecord, attempts: Attempts) -> TrialRecord:
    """A record that says how often its trial was tried, and what that has lost."""
    if attempts.count <= 1:
        return record
    seconds = record.seconds and record.seconds.model_copy(update={"lost": attempts.lost})
    return record.model_copy(update={"attempts": attempts.count, "seconds": seconds})
