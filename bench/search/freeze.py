"""Choose from a search what is to be confirmed and tested, by validation alone."""

from __future__ import annotations

from collections.abc import Sequence

from bench.record import TrialRecord
from bench.spec import content_hash
from bench.study_record import Candidate, Freeze
from reports.front import points
from reports.standings import best_trials, completed

FIRST_SEED = 1001
"""Distance of the first fresh seed from the study's own, which is the search's only one."""


def fresh_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Seeds that the search has not used, and that are the same for every configuration."""
    return tuple((seed + FIRST_SEED + place) % 2**31 for place in range(count))


def make_freeze(searched: Sequence[TrialRecord], *, seed: int, seeds: int) -> Freeze:
    """The best trial of each arm, and all on the search's front if they are to be run again.

    What is not run again is judged by a single seed, for which the best of each arm is enough.

    Args:
        searched: trials of the search that have ended.
        seed: the search's.
        seeds: fresh seeds for each configuration; 0 for none.
    """
    best = {record.fingerprint for record in best_trials(searched).values()}
    front = {point.record.fingerprint for point in points(searched) if point.on_front}
    chosen = best | front if seeds else best
    return Freeze(
        searched=_hash(searched),
        seeds=fresh_seeds(seed, seeds),
        candidates=tuple(
            Candidate(
                fingerprint=record.fingerprint,
                arm=record.arm,
                number=record.number,
                is_best=record.fingerprint in best,
                on_front=record.fingerprint in front,
            )
            for record in sorted(searched, key=lambda record: (record.arm, record.number))
            if record.fingerprint in chosen
        ),
    )


def still_holds(freeze: Freeze, made_now: Freeze) -> bool:
    """Whether a freeze of an earlier run says what would be frozen now.

    What was stopped in the meantime is left as it is, unless there are more seeds now.
    """
    return freeze.searched == made_now.searched and freeze.seeds == made_now.seeds


def _hash(searched: Sequence[TrialRecord]) -> str:
    """Changes with any result that the choice could depend on."""
    return content_hash(
        sorted(
            [r.fingerprint, r.score, r.parameters.trained]
            for r in completed(searched)
            if r.score is not None and r.parameters
        )
    )
