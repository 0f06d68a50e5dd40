"""The sentences at the top of a report, and what it says is missing."""

from __future__ import annotations

from dataclasses import replace

from bench.records.study_record import BudgetSpent, Run
from bench.records.trial_record import Status, TrialRecord
from reports.analysis import Analysis, analyse
from reports.text import notes
from reports.text.cautions import warnings
from reports.text.findings import banners, summary, unfinished
from tests.helpers.records import broken, one_seed_run, study, trial
from tests.helpers.simulate import World, simulated_run


def _one_seed(**scores: int) -> Analysis:
    records = [trial(arm, test=score) for arm, score in scores.items()]
    return analyse(one_seed_run(study(tuple(scores), planned=1), records))


def _without(run: Run, *gone: str) -> Run:
    """The run before these trials on fresh seeds have ended."""
    kept = tuple(record for record in run.confirmed if record.trial not in gone)
    return replace(run, confirmed=kept)


def _lost(run: Run, *names: str) -> Run:
    """The run in which these trials on fresh seeds diverged."""
    gone = dict.fromkeys(("accuracy", "parameters", "seconds", "inference", "test"))
    changes = {**gone, "status": Status.DIVERGED, "reason": "nan"}
    return replace(
        run,
        confirmed=tuple(
            r.model_copy(update=changes) if r.trial in names else r for r in run.confirmed
        ),
    )


def _pair() -> Run:
    return simulated_run({"full": 0.6, "lora": 0.59}, World(seeds=3, questions=200), trials=2)


def test_the_summary_names_the_most_accurate_arm_with_interval_and_size() -> None:
    text = " ".join(summary(_one_seed(full=330, lora=320, linear=100)))
    assert (
        "Of 3 tested arms, **full** has the highest test accuracy: 0.660, on one seed (95 %"
        " interval 0.617 to 0.700, over questions only), with 22,713,601 trained parameters."
    ) in text
    assert "another seed may order the arms otherwise" in text


def test_arms_that_cannot_be_told_from_the_leader_are_named_and_the_cheapest_of_them() -> None:
    text = " ".join(summary(_one_seed(full=303, lora=302, linear=301, prompt=100)))
    assert "It cannot be told apart from **lora** and **linear**" in text
    assert (
        "Of the arms that share the first rank, **linear** trains the fewest parameters: 385,"
        " 58,996 times fewer than full, at 0.602."
    ) in text


def test_a_clear_lead_on_one_seed_is_one_over_questions_only() -> None:
    analysis = _one_seed(full=400, lora=200)
    text = " ".join(summary(analysis))
    assert "Its lead over every other arm is larger than the choice of questions explains." in text
    assert "another seed may order the arms otherwise" in text
    assert "fewest" not in text
    assert "other seeds may order the arms differently" in str(notes.pairs(analysis))


def test_a_clear_lead_on_several_seeds_is_called_one() -> None:
    analysis = analyse(simulated_run({"full": 0.8, "lora": 0.3}, trials=1))
    text = " ".join(summary(analysis))
    assert "Its lead over every other arm is larger than chance alone explains." in text
    assert "seed may" not in text
    assert "seeds may" not in str(notes.pairs(analysis))


def test_a_leader_that_is_also_the_cheapest_of_its_rank_is_said_to_be() -> None:
    text = " ".join(summary(_one_seed(lora=303, full=302)))
    assert "No other arm of the first rank trains fewer parameters than it." in text


def test_a_single_arm_is_compared_with_nothing() -> None:
    text = " ".join(summary(_one_seed(lora=300)))
    assert text.startswith("**lora** has the highest test accuracy: 0.600")
    assert "told apart" not in text
    assert "difference" not in text


def test_the_front_is_told_by_what_is_sure_and_what_is_open() -> None:
    text = " ".join(summary(_one_seed(lora=300, full=302, linear=100, adapter=150)))
    sure = "in at least 95 % of resamples (over questions only: one seed)"
    assert f"trained parameters {sure}: linear-000 and lora-000." in text
    assert "Perhaps on it: full-000." in text
    assert f"Not on it {sure}: adapter-000." in text


def test_of_many_candidates_six_are_named_and_the_others_counted() -> None:
    arms = {f"arm{n}": 300 for n in range(9)}
    text = " ".join(summary(_one_seed(**arms)))
    assert "one seed): arm0-000, arm1-000, arm2-000, arm3-000, arm4-000, arm5-000 and 3 more." in (
        text
    )


def test_few_seeds_that_find_no_difference_say_so() -> None:
    analysis = replace(analyse(_pair()), detectable=1.2)
    assert "can hardly find any true difference" in " ".join(summary(analysis))
    assert "Minimum detectable difference: none below 100 points" in str(notes.ranks(analysis))


def test_the_smallest_difference_that_would_be_found_is_told() -> None:
    analysis = analyse(_pair())
    assert analysis.detectable is not None
    points = f"{100 * analysis.detectable:.1f} points"
    told = f"a true difference between two arms of {points} in at best four cases of five"
    assert told in " ".join(summary(analysis))
    assert f"Minimum detectable difference: {points}" in str(notes.ranks(analysis))
    assert "over seeds and questions" in " ".join(summary(analysis))


def test_a_search_without_tests_names_its_best_and_calls_it_optimistic() -> None:
    searched: tuple[TrialRecord, ...] = (trial("full"), trial("lora", right=310))
    (sentence,) = summary(analyse(Run(study=study(("full", "lora")), searched=searched)))
    assert "**lora** has the highest validation accuracy: 0.620" in sentence
    assert "which is optimistic" in sentence


def test_nothing_completed_is_nothing_to_compare() -> None:
    run = Run(study=study(("lora",)), searched=(broken("lora", 0),))
    assert summary(analyse(run)) == ["No trial was completed, so there is nothing to compare."]


def test_a_whole_run_lacks_nothing_and_has_no_banner() -> None:
    assert unfinished(_pair()) is None
    assert banners(analyse(_pair())) == []


def test_missing_fresh_seeds_and_models_without_test_make_a_run_partial() -> None:
    run = _without(_pair(), "lora-000-seed1001", "lora-000-seed1003", "full-000-seed1002")
    assert unfinished(run) == (
        "PARTIAL: runs on fresh seeds without a record: 3 (full 1, lora 2). Run the command again"
        " to complete them."
    )
    blank = replace(
        run, confirmed=tuple(r.model_copy(update={"test": None}) for r in run.confirmed)
    )
    assert "models that have not answered the test split: 3 (full 2, lora 1)" in str(
        unfinished(blank)
    )


def test_scores_on_older_test_questions_are_still_to_come_and_nothing_else_is_said() -> None:
    run = _older(_pair())
    analysis = analyse(run)
    assert "models that have not answered the test split: 6 (full 3, lora 3)" in str(
        unfinished(run)
    )
    assert "No arm's choice has answered the test split yet" in summary(analysis)[0]
    assert notes.scorings(run) == (
        "Answers of the test split, one per model: 6. Of these, answers that no figure here uses:"
        " 6; trials.csv has them."
    )
    assert any("6 of 6 test scores are of other test questions" in w for w in warnings(analysis))
    assert warnings(analyse(_pair())) == []


def _older(run: Run) -> Run:
    """The run as it is once the test questions have changed."""
    tests = [record.test.model_copy(update={"data": "0" * 16}) for record in run.confirmed
             if record.test]  # fmt: skip
    older = (
        record.model_copy(update={"test": test})
        for record, test in zip(run.confirmed, tests, strict=True)
    )
    return replace(run, confirmed=tuple(older))


def test_a_search_that_went_on_after_the_choice_makes_the_run_partial() -> None:
    run = _pair()
    later = trial("lora", 1, right=490, context=run.searched[0].context)
    changed = replace(run, searched=(*run.searched[:-1], later))
    assert unfinished(changed) == (
        "PARTIAL: the search has gone on since the configurations to test were chosen, and another"
        " is best now of lora. Run the command again to test it."
    )
    assert "**PARTIAL**: the search has gone on" in banners(analyse(changed))[0]


def test_what_a_stopped_candidate_lacks_is_not_missing_but_its_models_are_to_be_tested() -> None:
    run = _without(_pair(), "lora-000-seed1003")
    assert run.freeze is not None
    candidates = (
        one.model_copy(update={"stopped": "off the front"}) if one.arm == "lora" else one
        for one in run.freeze.candidates
    )
    freeze = run.freeze.model_copy(update={"candidates": tuple(candidates)})
    stopped = replace(run, freeze=freeze)
    assert stopped.fresh_trials == (5, 5)
    assert unfinished(stopped) is None
    assert "the test split: 5 (full 3, lora 2)" in str(unfinished(_older(stopped)))


def test_a_finished_search_without_a_choice_is_partial() -> None:
    run = Run(study=study(("lora",), planned=1), searched=(trial(),))
    assert unfinished(run) == (
        "PARTIAL: no configuration has been tested yet. Run the command again."
    )


def test_a_running_search_is_partial_for_its_missing_trials_alone() -> None:
    run = Run(study=study(("lora",), planned=2), searched=(trial(),))
    assert unfinished(run) == (
        "PARTIAL: planned trials without a record: 1 of 2 (lora 1). Run the command again to"
        " complete them."
    )
    spent = run.study.model_copy(update={"budget_spent": BudgetSpent(budget="30m", stopped=0)})
    assert "budget of 30m spent: 1 of 2" in str(unfinished(replace(run, study=spent)))


def test_lost_seeds_are_told_at_the_top() -> None:
    text = " ".join(banners(analyse(_lost(_pair(), "lora-000-seed1002"))))
    assert "**LOST SEEDS**: 1 (lora-000 1)." in text
    assert "PARTIAL" not in text


def test_an_arm_that_lost_all_its_seeds_is_told_and_the_others_are_compared() -> None:
    names = [f"lora-000-seed{seed}" for seed in (1001, 1002, 1003)]
    analysis = analyse(_lost(_pair(), *names))
    text = " ".join(banners(analysis))
    assert "**NOT TESTED**: lora (not tested, 3 of 3 seeds lost: nan)." in text
    assert summary(analysis)[0].startswith("**full** has the highest test accuracy")


def test_an_arm_whose_models_wait_for_the_test_is_not_tested_yet() -> None:
    run = _pair()
    waiting = (
        record.model_copy(update={"test": None}) if record.arm == "lora" else record
        for record in run.confirmed
    )
    text = " ".join(banners(analyse(replace(run, confirmed=tuple(waiting)))))
    assert "**NOT TESTED**: lora (not tested yet)." in text


def test_what_intervals_speak_of_is_told_without_any_leader() -> None:
    analysis = _one_seed(lora=300)
    entries = tuple(replace(entry, rank=None) for entry in analysis.entries)
    beside = replace(analysis, leaders=(), entries=entries)
    assert "over questions only: one seed" in str(notes.places(beside))


def test_names_of_arms_cannot_break_out_of_a_sentence() -> None:
    text = " ".join(summary(_one_seed(**{"<b>|*": 300, "lora": 299})))
    assert r"**\<b\>\|\***" in text
    assert "<b>" not in text
