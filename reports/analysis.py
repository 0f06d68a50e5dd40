"""Everything a report says about a run, computed once; all formats take their figures from here."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from bench.records.study_record import Run
from reports import metrics
from reports.repeats import Confirmed, Right, tested
from reports.statistics import expected_best, hypervolume
from reports.statistics.hypervolume import Hypervolume
from reports.statistics.pairwise import ArmAnswers, Comparison, Pair, compare
from reports.statistics.resamples import Draws, better, on_front, resampled
from reports.statistics.seeds import Seeds
from reports.statistics.uncertainty import Estimate, mean_accuracy

__all__ = ["Analysis", "Entry", "Hypervolume", "Pair", "Place", "Seeds", "analyse"]

Place: TypeAlias = Literal["front", "ambiguous", "dominated"]

SURE = 0.95
"""Share of resamples from which a candidate's place is said without reserve."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A candidate that has answered the test split.

    Attributes:
        confirmed: the candidate and its trials.
        accuracy: test accuracy with its 95 % interval over seeds and questions.
        seeds: test accuracy seed by seed.
        rank: of an arm's chosen configuration, 1 is best; arms that cannot be told apart share
            one; ``None`` for other candidates.
        better_than_next: probability that it is better than the next one of the leaderboard;
            ``None`` for the last and for other candidates.
        on_front: whether it is non-dominated at the estimates.
        front_probability: share of resamples in which it is non-dominated.
        place: ``front`` or ``dominated`` if it is that in at least 95 % of resamples, else
            ``ambiguous``.
    """

    confirmed: Confirmed
    accuracy: Estimate
    seeds: Seeds
    rank: int | None
    better_than_next: float | None
    on_front: bool
    front_probability: float
    place: Place

    @property
    def arm(self) -> str:
        """Its arm."""
        return self.confirmed.candidate.arm

    def cost(self, metric: str) -> float | None:
        """Median over its runs of a metric of ``reports.metrics``; ``None`` if never measured.

        Args:
            metric: its name, such as ``train_seconds``.

        Raises:
            StudyError: there is no such metric.
        """
        wanted = metrics.metric(metric)
        found = [wanted.read(run) for run in self.confirmed.runs]
        known = [value for value in found if value is not None]
        return float(statistics.median(known)) if known else None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A run and what can be said about it.

    Attributes:
        run: all records.
        leaders: each arm's chosen configuration with a test score, by rank, then accuracy.
        entries: all candidates with a test score, fewest trained parameters first.
        pairs: of the leaders, every two.
        cochran_p: of Cochran's Q per seed: no difference between any of the leaders, for seeds
            that all of them have; empty with fewer than two leaders.
        detectable: median of the pairs' detectable differences; ``None`` without pairs.
        hypervolume: of the tested candidates; ``None`` without any.
        hypervolume_by_trial: of the search, on validation: per arm, and of all arms together
            under "", after each trial in order of its number; item n is of trials 0 … n.
        expected_best: validation accuracy to be expected of the best of n random trials, n = 1, 2,
            …, per arm; empty unless the sampler was ``random``.
        importances: per arm, of what a random forest attributes to single knobs in how validation
            accuracy varies, the share of each; they add up to 1, also where nothing matters.
            Given, not computed here.
    """

    run: Run
    leaders: tuple[Entry, ...]
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    cochran_p: tuple[float, ...]
    detectable: float | None
    hypervolume: Hypervolume | None
    hypervolume_by_trial: dict[str, tuple[float, ...]]
    expected_best: dict[str, tuple[float, ...]]
    importances: Mapping[str, Mapping[str, float]]


def analyse(run: Run, importances: Mapping[str, Mapping[str, float]] | None = None) -> Analysis:
    """Computes it all; equal runs give equal figures.

    Candidates scored on other test questions than the study's are left out: they cannot be
    compared with the rest.

    Args:
        run: all records.
        importances: see ``Analysis``.
    """
    candidates = comparable(run)
    rights = [candidate.right("test") for candidate in candidates]
    draws = resampled(rights)
    comparison = compare(
        [_answers(c, right) for c, right in zip(candidates, rights, strict=True)
         if c.candidate.is_best]
    )  # fmt: skip
    entries = _entries(candidates, rights, draws, comparison)
    leaders = {entry.arm: entry for entry in entries if entry.rank is not None}
    return Analysis(
        run=run,
        leaders=tuple(leaders[arm] for arm in comparison.ranks),
        entries=entries,
        pairs=comparison.pairs,
        cochran_p=comparison.cochran_p,
        detectable=comparison.detectable,
        hypervolume=_hypervolume(run, entries, draws),
        hypervolume_by_trial=hypervolume.by_trial(run),
        expected_best=expected_best.by_arm(run),
        importances=importances or {},
    )


def comparable(run: Run) -> list[Confirmed]:
    """Candidates with a score on the study's test questions, fewest trained parameters first.

    Scores on other questions, from before the data changed, are taken off.

    Args:
        run: all records.
    """
    found = []
    for candidate in tested(run):
        runs = tuple(
            r if run.study.is_tested(r) else r.model_copy(update={"test": None})
            for r in candidate.runs
        )
        if any(r.test for r in runs):
            found.append(replace(candidate, runs=runs))
    return sorted(
        found,
        key=lambda c: (c.trained_parameters, -c.right("test").mean(), c.candidate.arm,
                       c.candidate.number),
    )  # fmt: skip


def _answers(candidate: Confirmed, right: Right) -> ArmAnswers:
    return ArmAnswers(
        arm=candidate.candidate.arm,
        parameters=candidate.trained_parameters,
        seeds=tuple(run.seed for run in candidate.runs if run.test),
        right=right,
    )


def _entries(
    candidates: Sequence[Confirmed], rights: Sequence[Right], draws: Draws, comparison: Comparison
) -> tuple[Entry, ...]:
    parameters = [candidate.trained_parameters for candidate in candidates]
    estimates = [mean_accuracy(right) for right in rights]
    flags = on_front([[estimate.value for estimate in estimates]], parameters)[0]
    chances = on_front(draws, parameters).mean(axis=0)
    places = {c.candidate.arm: i for i, c in enumerate(candidates) if c.candidate.is_best}
    next_of = {places[a]: places[b] for a, b in itertools.pairwise(comparison.ranks)}
    return tuple(
        Entry(
            confirmed=candidate,
            accuracy=estimates[i],
            seeds=Seeds.of([float(accuracy) for accuracy in rights[i].mean(axis=1)]),
            rank=comparison.ranks[candidate.candidate.arm] if candidate.candidate.is_best else None,
            better_than_next=better(draws[:, i], draws[:, next_of[i]]) if i in next_of else None,
            on_front=bool(flags[i]),
            front_probability=float(chances[i]),
            place=_place(float(chances[i])),
        )
        for i, candidate in enumerate(candidates)
    )


def _place(probability: float) -> Place:
    if probability >= SURE:
        return "front"
    return "dominated" if probability <= 1 - SURE else "ambiguous"


def _hypervolume(run: Run, entries: Sequence[Entry], draws: Draws) -> Hypervolume | None:
    if not entries:
        return None
    return hypervolume.with_interval(
        [entry.accuracy.value for entry in entries],
        [entry.confirmed.trained_parameters for entry in entries],
        draws,
        hypervolume.reference_of(run),
    )
