"""What could have come out with other seeds and questions: resampled accuracies of candidates.

Bootstrap of the crossed design. The questions of a draw are the same for all candidates, for they
answered the same ones; each candidate's seeds are drawn for itself. Resampling rows and columns of
the table at once counts the noise of single answers three times (Owen 2007, *The pigeonhole
bootstrap*, doi:10.1214/07-AOAS122), so the means are resampled instead:

    draw = mean + Σ_q w_q·(mean_q − mean)/n + c·Σ_s u_s·(mean_s − mean)/K

with w and u counts of how often a question and a seed were drawn, and
c² = K/(K − 1) · (1 − MS_both/MS_seeds). Its variance is that of ``reports.statistics.uncertainty``.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

from reports.repeats import Right
from reports.statistics.uncertainty import mean_squares

DRAWS = 2000
"""Resamples; a probability of .05 is then known to ± .01."""

DIGITS = 12
"""Digits of a drawn accuracy, so that equal answers give equal draws."""

Draws = npt.NDArray[np.float64]
"""Accuracies: ``(draws, candidates)``."""


def resampled(rights: Sequence[Right], *, draws: int = DRAWS, seed: int = 0) -> Draws:
    """Accuracies of candidates under other seeds and questions: ``(draws, candidates)``.

    Args:
        rights: per candidate ``(seeds, questions)``, at least one of each; the questions are the
            same for all, the number of seeds may differ.
        draws: how many.
        seed: of the draws.
    """
    if not rights:
        return np.empty((draws, 0))
    generator = np.random.default_rng(seed)
    questions = rights[0].shape[1]
    of_questions = np.array([right.mean(axis=0) for right in rights])
    drawn = generator.multinomial(questions, np.full(questions, 1 / questions), draws)
    moved = np.array([_moved_by_seeds(right, draws, generator) for right in rights])
    return np.asarray(np.round(drawn / questions @ of_questions.T + moved.T, DIGITS))


def _moved_by_seeds(right: Right, draws: int, generator: np.random.Generator) -> Draws:
    """How far other seeds move a candidate: ``(draws,)``; nothing is known of a single seed."""
    seeds = len(right)
    squares = mean_squares(right)
    if seeds == 1 or squares.seeds <= squares.both:
        return np.zeros(draws)
    scale = np.sqrt(seeds / (seeds - 1) * (1 - squares.both / squares.seeds))
    of_seeds = right.mean(axis=1) - right.mean()
    drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
    return np.asarray(scale * (drawn @ of_seeds) / seeds)


def front_probabilities(
    rights: Sequence[Right], parameters: Sequence[int], *, draws: int = DRAWS, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Probability of each candidate that no other dominates it: ``(candidates,)``.

    Of many nearly equal candidates each has a low one, whichever is truly on the front.

    Args:
        rights: see ``resampled``; one without answers takes no part and has probability 0.
        parameters: trained, per candidate.
        draws: how many resamples.
        seed: of the resamples.
    """
    known = np.array([right.size > 0 for right in rights], dtype=np.bool_)
    drawn = resampled([right for right in rights if right.size], draws=draws, seed=seed)
    found = np.zeros(len(rights))
    found[known] = on_front(drawn, np.asarray(parameters)[known]).mean(axis=0)
    return found


def on_front(accuracies: npt.ArrayLike, parameters: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Who is non-dominated in each draw: ``(draws, candidates)``; equal ones are so together.

    Args:
        accuracies: ``(draws, candidates)``.
        parameters: trained, per candidate.
    """
    losses = -np.asarray(accuracies, dtype=np.float64)
    if not losses.size:
        return np.empty(losses.shape, dtype=np.bool_)
    sizes = np.broadcast_to(np.asarray(parameters, dtype=np.float64), losses.shape)
    return np.array(
        [
            moocore.is_nondominated(plane, keep_weakly=True)
            for plane in np.stack((losses, sizes), axis=-1)
        ]
    )


def better(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Probability that the first is better: share of draws, ties counted half.

    Args:
        first: drawn accuracies, ``(draws,)``.
        second: of the same draws.
    """
    return float(((first > second) + 0.5 * (first == second)).mean())
