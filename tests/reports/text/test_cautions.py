"""What a report warns of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.records.study_record import BaselineScore, Run
from reports.analysis import analyse
from reports.text.cautions import edge, warnings
from tests.helpers.records import ENVIRONMENT, one_seed_run, study, trial
from tests.helpers.simulate import World, simulated_run


def _said(run: Run) -> str:
    return "\n".join(warnings(analyse(run)))


@pytest.mark.parametrize(
    ("place", "end"), [(0.0, "lowest"), (0.04, "lowest"), (0.06, None), (0.96, "highest")]
)
def test_the_outer_twentieth_of_a_logarithmic_range_is_its_edge(
    place: float, end: str | None
) -> None:
    assert edge(1e-5 * math.exp(place * math.log(100)), 1e-5, 1e-3) == end


def test_a_best_learning_rate_at_the_edge_of_its_range_is_warned_of() -> None:
    asked = study(("full", "lora"), planned=1)
    records = [trial("full", learning_rate=9.5e-4), trial("lora", learning_rate=1e-4)]
    text = _said(one_seed_run(asked, records))
    assert "**full**: the chosen learning rate, 0.00095, lies in the highest 5%" in text
    assert "lora" not in text


def test_the_learning_rate_that_was_frozen_is_warned_of_not_a_later_one() -> None:
    run = simulated_run({"lora": 0.5}, trials=2)
    first, second = run.searched
    edges = (first.model_copy(update={"learning_rate": 9.5e-4}), trial("lora", 1, right=450))
    assert (first.number, second.number) == (0, 1)
    later = replace(run, searched=edges)
    text = _said(later)
    assert "**lora**: the chosen learning rate, 0.00095, lies in the highest 5%" in text


def test_trials_from_different_machines_are_warned_of() -> None:
    other = ENVIRONMENT.model_copy(update={"device": "NVIDIA H100"})
    asked = study(("full", "lora"), planned=1)
    text = _said(one_seed_run(asked, [trial("full"), trial("lora", environment=other)]))
    assert "Trials differ in device (AMD EPYC 7B13; NVIDIA H100)" in text


def test_the_search_may_use_other_threads_than_fresh_seeds_but_neither_may_mix_them() -> None:
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=2, questions=100), trials=2)
    one = {"environment": ENVIRONMENT.model_copy(update={"threads": 1})}
    searched = tuple(record.model_copy(update=one) for record in run.searched)
    apart = replace(run, searched=searched)
    assert "threads" not in _said(apart)
    first, *others = run.confirmed
    mixed = replace(apart, confirmed=(first.model_copy(update=one), *others))
    text = _said(mixed)
    assert "Trials on fresh seeds differ in threads (1; 2)" in text
    mixed = replace(run, searched=(searched[0], *run.searched[1:]))
    text = _said(mixed)
    assert "Trials of the search differ in threads (1; 2)" in text


def _with(*baselines: tuple[str, float]) -> tuple[BaselineScore, ...]:
    return tuple(
        BaselineScore(name=said, said=said, scores={"accuracy": score}) for said, score in baselines
    )


def test_a_tested_arm_is_told_from_guessing_by_its_interval_not_by_its_best_trial() -> None:
    # Wilson's interval of 140 of 500 is 0.242 to 0.321, that of 160 begins at 0.281
    records = [trial("lora", right=200, test=140), trial("full", right=120, test=160)]
    asked = study(("lora", "full"), planned=1, baselines=_with(("guessing", 0.25)))
    text = _said(one_seed_run(asked, records))
    assert text == "Cannot be told from guessing (0.250 on validation): lora."


def test_an_arm_that_always_gives_the_frequent_label_is_warned_of_though_guessing_is_worse() -> (
    None
):
    # Wilson's interval of 400 of 500 is 0.763 to 0.833
    baselines = _with(("guessing", 0.66), ("the most frequent label", 0.8), ("another", 0.1))
    asked = study(("lora", "full"), planned=1, baselines=baselines)
    records = [trial("lora", test=400), trial("full", test=450)]
    text = _said(one_seed_run(asked, records))
    assert text == "Cannot be told from the most frequent label (0.800 on validation): lora."


def test_an_arm_that_is_worse_than_a_baseline_is_not_said_to_be_like_it() -> None:
    # Wilson's interval of 300 of 500 ends at 0.642
    asked = study(("lora", "full"), planned=1, baselines=_with(("the longest choice", 0.8)))
    records = [trial("lora", test=300), trial("full", test=400)]
    assert _said(one_seed_run(asked, records)).splitlines() == [
        "Cannot be told from the longest choice (0.800 on validation): full.",
        "Worse than the longest choice (0.800 on validation): lora.",
    ]


def test_truncation_guessing_and_left_out_plugins_are_warned_of() -> None:
    left_out = ("plug-in 'x' | broke",)
    baselines = _with(("guessing", 0.25))
    asked = study(("lora",), planned=1, truncated=0.3, left_out=left_out, baselines=baselines)
    text = _said(one_seed_run(asked, [trial(right=120)]))
    assert "30.0% of the sequences were cut at 128 tokens." in text
    assert "No better than guessing (0.250 on validation): lora." in text
    assert r"Left out: plug-in 'x' \| broke" in text
