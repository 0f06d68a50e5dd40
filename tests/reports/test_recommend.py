from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from bench.records.study_record import Candidate, Freeze, Run
from bench.records.trial_record import TrialRecord
from reports.analysis import Analysis, analyse
from reports.recommend import Advice, Limit, Nothing, Wishes, lower_end, recommend
from reports.statistics.pairwise import ALPHA
from reports.statistics.uncertainty import mean_accuracy
from tests.helpers.records import study, trial
from tests.helpers.simulate import World, simulated_run

CONTEXT = "abcd000011112222"


def scored(*records: TrialRecord) -> Analysis:
    """A run of one seed per configuration; trial 0 of an arm is the chosen one.

    Of 500 questions each has the first so many right, so that of two configurations one is right
    wherever the other is: McNemar's test of d questions apart has p = 2 · 2^-d.
    """
    arms = tuple(dict.fromkeys(record.arm for record in records))
    asked = study(arms, contexts=dict.fromkeys(arms, CONTEXT))
    candidates = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=r.number, is_best=r.number == 0,
                  on_front=True)
        for r in records
    )  # fmt: skip
    freeze = Freeze(searched="0" * 16, seeds=(), candidates=candidates)
    return analyse(Run.of(asked, records, freeze))


@functools.cache
def four_arms() -> Analysis:
    return scored(FULL, LORA, BITFIT, LINEAR)


def at_most(parameters: float) -> Limit:
    return Limit(option="--max-parameters", metric="trained_parameters", most=parameters)


def advised(analysis: Analysis, *limits: Limit, accuracy: float | None = None) -> Advice:
    found = recommend(analysis, Wishes(limits=limits, accuracy=accuracy))
    assert isinstance(found, Advice)
    return found


def names(advice: Advice) -> list[str]:
    return [one.other.confirmed.name for one in advice.cheaper]


FULL, LORA, BITFIT, LINEAR = (
    trial("full", test=345),
    trial("lora", test=340),
    trial("bitfit", test=337),
    trial("linear", test=150),
)


def test_the_most_accurate_within_the_limits_is_taken() -> None:
    everything = four_arms()

    assert advised(everything).chosen.arm == "full"
    assert advised(everything, at_most(300_000)).chosen.arm == "lora"
    assert advised(everything, at_most(74_113)).chosen.arm == "lora"
    assert advised(everything, at_most(74_112)).chosen.arm == "bitfit"


def test_of_equally_accurate_ones_the_smaller_is_taken() -> None:
    equal = scored(trial("full", test=340), LORA)

    assert advised(equal).chosen.arm == "lora"


def test_what_is_given_up_is_told_against_the_best_without_limits() -> None:
    everything = four_arms()
    found = advised(everything, at_most(300_000))

    assert advised(everything).best is None
    assert found.best is not None
    assert found.best.other.arm == "full"
    assert found.best.difference.value == pytest.approx(-5 / 500)
    assert found.best.difference.low < -5 / 500 < found.best.difference.high
    (pair,) = [p for p in everything.pairs if {p.first, p.second} == {"full", "lora"}]
    assert pair.difference.low == pytest.approx(-found.best.difference.high)
    assert (found.best.p, found.best.is_different) == (pair.p_holm, pair.is_different)


def test_smaller_ones_that_cannot_be_told_apart_are_named_and_no_others() -> None:
    found = advised(four_arms())

    # 5 and 8 questions apart, p = 2·2^-5 and 2·2^-8, of 6 pairs: only the second is significant.
    assert found.chosen.arm == "full"
    assert names(found) == ["lora-000"]


def test_other_candidates_of_an_arm_are_corrected_among_themselves() -> None:
    found = advised(
        scored(
            trial("lora", 0, test=340),
            trial("lora", 1, test=337, parameters=60_000),
            trial("lora", 2, test=334, parameters=50_000),
        )
    )

    # 2·2^-3 = .25 and 2·2^-6 = .03125, the smaller of two by Holm twice that: .0625.
    assert [one.p for one in found.cheaper] == pytest.approx([0.0625, 0.25])
    assert names(found) == ["lora-002", "lora-001"]


def test_an_accuracy_is_reached_by_the_lower_end_if_any_does_and_else_by_the_mean() -> None:
    everything = four_arms()

    # Wilson at 1 - .05/4: 340/500 → .626 … .729, 345/500 → .636 … .739
    sure = advised(everything, accuracy=0.62)
    assert (sure.chosen.arm, sure.reached) == ("bitfit", "low")
    likely = advised(everything, accuracy=0.67)
    assert (likely.chosen.arm, likely.reached) == ("bitfit", "mean")
    assert advised(everything).reached is None


def test_the_more_are_looked_at_the_surer_a_lower_end_has_to_be() -> None:
    # Wilson's lower end of lora's 340/500 is .638 by itself, and .626 of four.
    alone, of_four = advised(scored(LORA), accuracy=0.635), advised(four_arms(), accuracy=0.635)

    assert (alone.chosen.arm, alone.among, alone.reached) == ("lora", 1, "low")
    assert alone.low == alone.chosen.accuracy.low
    assert (of_four.chosen.arm, of_four.among, of_four.reached) == ("full", 4, "low")
    assert of_four.low < of_four.chosen.accuracy.low


def test_those_that_break_a_limit_were_not_looked_at() -> None:
    found = advised(four_arms(), at_most(80_000), accuracy=0.6)

    assert found.among == 3
    assert advised(four_arms(), at_most(400)).among == 1


@pytest.mark.parametrize("right", [250, 340, 450])
def test_a_widened_lower_end_is_near_wilsons_at_that_level(right: int) -> None:
    estimate = mean_accuracy(np.arange(500)[None] < right)
    low = proportion_confint(right, 500, alpha=0.05 / 7, method="wilson")[0]

    assert lower_end(estimate, 7) == pytest.approx(low, abs=0.003)


def test_a_widened_lower_end_is_students_at_that_level() -> None:
    (right,) = next(World().experiments([0.6], 1))
    estimate = mean_accuracy(right)
    low, _ = t.interval(1 - 0.05 / 7, estimate.freedom, estimate.value, estimate.error)

    assert lower_end(estimate, 7) == pytest.approx(low)


@pytest.mark.parametrize("world", [World(), World(seeds=1, seed_sd=0.0)])
def test_of_many_at_the_accuracy_asked_none_is_sure_to_reach_it(world: World) -> None:
    count, among = 200, 20
    ends = [
        [mean_accuracy(right) for right in methods]
        for methods in world.experiments([0.6] * among, count)
    ]

    assert sum(any(one.low > 0.6 for one in found) for found in ends) > 0.1 * count
    assert sum(any(lower_end(one, among) > 0.6 for one in found) for found in ends) <= 0.05 * count


def test_smaller_ones_that_do_not_reach_the_accuracy_are_not_named() -> None:
    found = advised(scored(FULL, LORA, trial("bitfit", test=339)), accuracy=0.68)

    assert found.chosen.arm == "lora"
    assert names(found) == []


def timed(record: TrialRecord, p50: float | None) -> TrialRecord:
    assert record.inference is not None
    single = record.inference.single.model_copy(update={"p50": p50})
    inference = None if p50 is None else record.inference.model_copy(update={"single": single})
    return record.model_copy(update={"inference": inference})


def test_limits_of_time_and_size_count_and_what_was_not_measured_does_not_fit() -> None:
    slow, fast, unknown = timed(FULL, 9.0), timed(LORA, 3.0), timed(BITFIT, None)
    everything = scored(slow, fast, unknown)
    latency = Limit(option="--max-ms", metric="inference_ms_p50", most=5.0)
    size = Limit(option="--max-bytes", metric="stored_bytes", most=26_113 * 4)

    assert advised(everything, latency).chosen.arm == "lora"
    assert advised(everything, size).chosen.arm == "bitfit"
    found = recommend(everything, Wishes(limits=(latency, size)))
    assert isinstance(found, Nothing)
    excluded: dict[str, Any] = {
        limit.option: [entry.arm for entry in entries] for limit, entries in found.excluded
    }
    assert excluded == {"--max-ms": ["bitfit", "full"], "--max-bytes": ["lora", "full"]}


def test_where_nothing_fits_the_nearest_miss_is_named() -> None:
    everything = four_arms()
    found = recommend(everything, Wishes(limits=(at_most(20_000),), accuracy=0.68))

    assert isinstance(found, Nothing)
    assert [entry.arm for entry in found.inaccurate] == ["linear", "bitfit"]
    assert found.nearest.arm == "bitfit"  # 1.3 times too large; linear is 2.3 times too inaccurate


def test_nothing_is_given_up_that_the_report_would_not_say_either() -> None:
    run = simulated_run({"full": 0.66, "lora": 0.64, "linear": 0.3}, seed=3)
    analysis = analyse(run)
    found = advised(analysis, at_most(300_000))

    assert found.chosen.arm == "lora"
    assert found.best is not None
    told = [p for p in analysis.pairs if {p.first, p.second} == {"full", "lora"}]
    assert found.best.is_different == told[0].is_different == (told[0].p_holm < ALPHA)
    assert names(found) == []
