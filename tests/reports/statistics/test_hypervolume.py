"""Hypervolume on a staircase worked by hand, against moocore, and trial by trial."""

from __future__ import annotations

import math
import random
import time

import moocore
import numpy as np
import pytest

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports.statistics.hypervolume import by_trial, hypervolume, reference_of, with_interval
from tests.helpers.records import broken, study, trial

REFERENCE = (0.75, 7.0)


def _share(*points: tuple[float, int]) -> float:
    accuracies, parameters = zip(*points, strict=True)
    return hypervolume(accuracies, parameters, REFERENCE)


def test_a_staircase_worked_by_hand() -> None:
    # Gains over chance .25 of .05, .35 and .45, each until the next; 10⁵ at .5 is dominated.
    points = (0.3, 10**2), (0.6, 10**3), (0.5, 10**5), (0.7, 10**6)
    area = 0.05 * (3 - 2) + 0.35 * (6 - 3) + 0.45 * (7 - 6)
    assert _share(*points) == pytest.approx(area / (0.75 * 7))


def test_what_lies_beyond_the_reference_adds_nothing() -> None:
    inside = (0.6, 10**3)
    for outside in [(0.2, 10**2), (0.25, 10), (0.9, 10**7), (1.0, 10**8)]:
        assert _share(outside) == 0
        assert _share(inside, outside) == _share(inside)


def test_the_whole_box_is_one() -> None:
    assert _share((1.0, 1)) == pytest.approx(1)


def test_the_reference_is_guessing_with_everything_trained() -> None:
    run = Run(study=study(), searched=(trial(),))
    assert reference_of(run) == (0.75, math.log10(22_713_216 + 385))


def test_the_interval_holds_the_estimate_and_corrects_for_the_best_being_lucky() -> None:
    generator = np.random.default_rng(0)
    parameters = [1000 + place for place in range(40)]
    draws = 0.6 + generator.normal(0, 0.02, (500, 40))
    found = with_interval(draws[0], parameters, draws, REFERENCE)
    truth = hypervolume([0.6] * 40, parameters, REFERENCE)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert found.low <= truth < found.value
    assert found.reference == REFERENCE


def _random_trials(arm: str, count: int, generator: random.Random) -> list[TrialRecord]:
    return [
        trial(
            arm,
            number,
            right=generator.randint(100, 400),
            parameters=int(10 ** generator.uniform(3, 7.5)),
        )
        for number in range(count)
    ]


def test_the_curve_is_what_moocore_says_after_each_trial() -> None:
    generator = random.Random(0)
    arms = {arm: _random_trials(arm, 30, generator) for arm in ("a", "b")}
    run = Run(study=study(), searched=tuple(arms["b"] + arms["a"][::-1]))
    reference = reference_of(run)
    curves = by_trial(run)
    assert list(curves) == ["", "a", "b"]
    for arm, records in {"": arms["a"] + arms["b"], **arms}.items():
        for number in range(30):
            plane = [
                (1 - r.accuracy.validation, math.log10(r.parameters.trained))
                for r in records
                if r.number <= number and r.accuracy and r.parameters
            ]
            expected = moocore.hypervolume(plane, ref=reference) / math.prod(reference)
            assert curves[arm][number] == pytest.approx(expected)


def test_trials_without_a_result_add_nothing_and_are_counted() -> None:
    records = [broken("lora", 0), trial(number=1), broken("lora", 2), trial(number=4, right=400)]
    curve = by_trial(Run(study=study(), searched=tuple(records)))["lora"]
    assert len(curve) == 5
    assert curve[0] == 0 < curve[1] == curve[2] == curve[3] < curve[4]


def test_a_run_without_any_result_has_no_curve() -> None:
    assert by_trial(Run(study=study(), searched=(broken("lora", 0),))) == {}
    assert by_trial(Run(study=study(), searched=())) == {}


@pytest.mark.slow
def test_ten_thousand_trials_take_no_two_seconds() -> None:
    records = tuple(_random_trials("lora", 10_000, random.Random(0)))
    begun = time.process_time()
    by_trial(Run(study=study(), searched=records))
    assert time.process_time() - begun < 2
