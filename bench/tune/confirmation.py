"""Which seed of which frozen configuration comes next, and which configurations stop early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bench.metrics import METRICS
from bench.records.spec import TrialSpec, content_hash
from bench.records.study_record import Candidate, Freeze, Run, StudyRecord
from bench.records.trial_record import RETRIED_ON_RESUME, TrialRecord
from bench.tune.rungs import Rungs
from reports.front import points
from reports.repeats import Confirmed, confirmed
from reports.standings import best_trials, completed
from reports.statistics.resamples import front_probabilities

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


LOOK_AFTER = 3
"""Seeds that every configuration is run on before any is stopped."""

HOPELESS = 0.05
"""Probability of being on the front below which a configuration is stopped."""

MakeSpec = Callable[[Candidate, int], TrialSpec]
"""A candidate with a fresh seed as a spec."""


class Confirmation:
    """Gives out the fresh-seed trials of a freeze: the first three seeds of all, then the rest.

    Between the two, configurations that cannot reach the front any more are stopped: of the
    chosen ones of the arms none, since arms are compared by as many seeds each. Validation
    answers decide, paired by question, never the test's.

    Args:
        study: what was asked.
        searched: the trials of the search.
        freeze: what was chosen.
        make_spec: see ``MakeSpec``.
        write: takes the freeze, and the names of what was stopped, whenever something was.
    """

    def __init__(
        self,
        study: StudyRecord,
        searched: Iterable[TrialRecord],
        freeze: Freeze,
        *,
        make_spec: MakeSpec,
        write: Callable[[Freeze, tuple[str, ...]], object],
    ) -> None:
        self.rungs = Rungs()  # a seed is always trained to its end
        self.freeze = freeze
        self._study = study
        self._searched = tuple(searched)
        self._make_spec = make_spec
        self._write = write
        self._ended: dict[tuple[str, int], TrialRecord] = {}
        self._given: set[tuple[str, int]] = set()

    def keep(self, record: TrialRecord) -> bool:
        """Counts a record of an earlier run; not one whose end may have been an accident."""
        if record.confirms is None or record.status in RETRIED_ON_RESUME:
            return False
        self._ended[record.confirms, record.seed] = record
        return True

    def finish(self, record: TrialRecord) -> None:
        """Notes how a trial that was given out has ended."""
        assert record.confirms is not None
        self._ended[record.confirms, record.seed] = record

    @property
    def left(self) -> int:
        """Trials not given out yet, as far as is known."""
        return len(self._open(self.freeze.seeds))

    def next(self) -> TrialSpec | None:
        """The next trial; ``None`` when all are given out, or first others have to end."""
        first = self.freeze.seeds[:LOOK_AFTER]
        if not self._open(first) and self._open(self.freeze.seeds):
            if any(key not in self._ended for key in self._wanted(first)):
                return None
            self._stop_hopeless()
        for fingerprint, seed in self._open(first) or self._open(self.freeze.seeds):
            self._given.add((fingerprint, seed))
            return self._make_spec(self.freeze.by_fingerprint[fingerprint], seed)
        return None

    def _wanted(self, seeds: Iterable[int]) -> list[tuple[str, int]]:
        going = [c.fingerprint for c in self.freeze.candidates if c.stopped is None]
        return [(fingerprint, seed) for seed in seeds for fingerprint in going]

    def _open(self, seeds: Iterable[int]) -> list[tuple[str, int]]:
        done = self._ended.keys() | self._given
        return [key for key in self._wanted(seeds) if key not in done]

    def _stop_hopeless(self) -> None:
        if not METRICS[self._study.objective].is_mean:
            return  # answers that are right or wrong do not tell how it would end
        records = (*self._searched, *self._ended.values())
        entries = [e for e in confirmed(Run.of(self._study, records, self.freeze)) if e.runs]
        reasons = hopeless(entries)
        now = {c.fingerprint for c in self.freeze.candidates if not c.stopped} & reasons.keys()
        if not now:
            return
        candidates = (
            one.model_copy(update={"stopped": reasons[one.fingerprint]})
            if one.fingerprint in now
            else one
            for one in self.freeze.candidates
        )
        self.freeze = self.freeze.model_copy(update={"candidates": tuple(candidates)})
        names = (e.name for e in entries if e.candidate.fingerprint in now)
        self._write(self.freeze, tuple(names))


def hopeless(entries: list[Confirmed]) -> dict[str, str]:
    """Why configurations need no further seed, by fingerprint.

    Args:
        entries: what has come of the candidates so far.
    """
    first = [replace(entry, runs=entry.runs[:LOOK_AFTER]) for entry in entries]
    chances = front_probabilities(
        [entry.right("validation") for entry in first],
        [entry.trained_parameters for entry in first],
    )
    return {
        entry.candidate.fingerprint: (
            f"after {len(entry.runs)} seeds the front was out of reach: probability {chance:.3f}"
        )
        for entry, chance in zip(first, chances, strict=True)
        if chance < HOPELESS and not entry.candidate.is_best
    }
