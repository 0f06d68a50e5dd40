"""Runs whose truth is known: made-up ledgers of a study that was searched, frozen and confirmed.

The answer of a method's seed to a question is right with the probability
``expit(skill + of_seed + of_question + of_both)``: seeds shift a method as a whole, questions are
hard or easy for all, and each method finds some questions harder than others do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from bench.records.spec import content_hash
from bench.records.study_record import Candidate, Freeze, Run
from bench.records.trial_record import TestScore, TrialRecord
from tests.helpers.records import study, trial

TEST = "eeee000011112222"

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
"""Of the normal distribution's quadrature."""


@dataclass(frozen=True, kw_only=True)
class World:
    """How much of what varies.

    Attributes:
        seeds: per method.
        questions: of the test split, likewise of the validation split.
        seed_sd: how far seeds move a method, in logits; .05 is about a point of accuracy.
        question_sd: how much questions differ, in logits, for all methods alike.
        taste_sd: how much they differ for one method and not for others.
    """

    seeds: int = 5
    questions: int = 500
    seed_sd: float = 0.08
    question_sd: float = 1.5
    taste_sd: float = 0.8

    def right(self, skills: list[float], generator: np.random.Generator) -> npt.NDArray[np.bool_]:
        """One experiment: ``(methods, seeds, questions)``."""
        methods = len(skills)
        hard = generator.normal(0, self.question_sd, self.questions)
        taste = generator.normal(0, self.taste_sd, (methods, 1, self.questions))
        moved = generator.normal(0, self.seed_sd, (methods, self.seeds, 1))
        logits = np.array(skills)[:, None, None] + hard + taste + moved
        return np.asarray(generator.random(logits.shape) < expit(logits))

    def experiments(
        self, accuracies: list[float], count: int, seed: int = 0
    ) -> Iterator[npt.NDArray[np.bool_]]:
        """So many experiments with methods of these true accuracies."""
        generator = np.random.default_rng(seed)
        skills = [self.skill(accuracy) for accuracy in accuracies]
        for _ in range(count):
            yield self.right(skills, generator)

    def accuracy(self, skill: float) -> float:
        """The truth: expected accuracy of a method over all seeds and questions there could be."""
        sd = np.sqrt(self.seed_sd**2 + self.question_sd**2 + self.taste_sd**2)
        return float(expit(skill + sd * NODES) @ WEIGHTS / WEIGHTS.sum())

    def skill(self, accuracy: float) -> float:
        """The skill with that expected accuracy."""
        low, high = -12.0, 12.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.accuracy(middle) < accuracy else (low, middle)
        return low


def simulated_run(
    accuracies: dict[str, float],
    world: World | None = None,
    *,
    seed: int = 0,
    trials: int = 4,
    parameters: dict[str, int] | None = None,
) -> Run:
    """A whole run of arms of these true accuracies; trial 0 of each arm is its candidate.

    Args:
        accuracies: expected accuracy per arm.
        world: what varies.
        seed: of the made-up answers.
        trials: per arm in the search.
        parameters: trained per arm, where it is not as usual.
    """
    world = world or World()
    generator = np.random.default_rng(seed)
    skills = [world.skill(accuracy) for accuracy in accuracies.values()]
    test, validation = world.right(skills, generator), world.right(skills, generator)
    seeds = tuple(range(1001, 1001 + world.seeds))
    searched: list[TrialRecord] = []
    confirmed: list[TrialRecord] = []
    for place, arm in enumerate(accuracies):
        size = (parameters or {}).get(arm)
        best = round(500 * min(1.0, accuracies[arm] + 0.03))
        mine = [
            trial(arm, n, right=best - 10 * n, parameters=size,
                  learning_rate=10 ** generator.uniform(-4.7, -3.3))
            for n in range(trials)
        ]  # fmt: skip
        searched += mine
        for index, fresh in enumerate(seeds):
            confirmed.append(
                confirming(mine[0], fresh, validation[place, index], test[place, index], generator)
            )
    answers = (0,) * world.questions
    asked = study(
        tuple(accuracies), planned=trials, confirm=world.seeds, answers=answers,
        contexts=dict.fromkeys(accuracies, "abcd000011112222"),
    )  # fmt: skip
    candidates = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=0, is_best=True, on_front=True)
        for r in searched
        if r.number == 0
    )
    freeze = Freeze(searched="0" * 16, seeds=seeds, candidates=candidates)
    return Run.of(asked, [*searched, *confirmed], freeze)


def confirming(
    chosen: TrialRecord,
    seed: int,
    validation: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_] | None,
    generator: np.random.Generator,
) -> TrialRecord:
    """A trial that repeats another with a fresh seed, with these answers."""
    assert chosen.accuracy is not None
    assert chosen.seconds is not None
    share = float(validation.mean())
    score = None
    if test is not None:
        predictions = tuple(int(not right) for right in test)
        score = TestScore(
            accuracy=float(test.mean()),
            predictions=predictions,
            answers=(0,) * len(test),
            data=TEST,
        )
    return chosen.model_copy(
        update={
            "fingerprint": content_hash([chosen.fingerprint, seed]),
            "confirms": chosen.fingerprint,
            "seed": seed,
            "accuracy": chosen.accuracy.model_copy(
                update={
                    "validation": share,
                    "per_epoch": (share / 2, share, share),
                    "predictions": tuple(int(not right) for right in validation),
                }
            ),
            "seconds": chosen.seconds.model_copy(
                update={"train": 100 * float(generator.uniform(0.9, 1.1))}
            ),
            "test": score,
        }
    )
