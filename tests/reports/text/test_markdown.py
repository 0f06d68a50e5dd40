"""The report: what it says of a study, and what it never says."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache

import pytest

from bench.records.study_record import BudgetSpent, Halving, Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from reports.analysis import analyse
from reports.charts.cost import timed_rows
from reports.text.markdown import report as report_of
from tests.helpers.busy import IMPORTANCES, busy_run
from tests.helpers.records import broken, one_seed_run, realistic, study, trial
from tests.helpers.simulate import World, simulated_run


def report(asked: StudyRecord, records: list[TrialRecord]) -> str:
    return report_of(analyse(one_seed_run(asked, records)))


@cache
def _busy() -> str:
    return report_of(analyse(busy_run(4)))


def _complete(*arms: str) -> tuple[StudyRecord, list[TrialRecord]]:
    return study(arms, planned=1), [trial(arm, test=300) for arm in arms]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def _row(text: str, start: str) -> list[str]:
    return _cells(next(line for line in text.splitlines() if line.startswith(start)))


def _section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0].strip()


def test_a_complete_even_study_has_no_banner_and_no_warning() -> None:
    text = report(*_complete("full", "lora"))
    assert "\n> " not in text
    assert _section(text, "Warnings") == "None."
    assert _section(text, "Trials without a result") == "None."


def test_the_leaderboard_has_the_columns_of_a_results_table() -> None:
    text = _section(report(*_complete("lora")), "Leaderboard")
    assert "test accuracy (95 % interval over questions only: one seed)" in text
    assert _row(text, "| 1 ") == [
        "1",
        "lora",
        r"rank=8 alpha=16 targets=query+value learning\_rate=0.0001",
        "0.260",
        "0.600 (0.556 to 0.642)",
        "1/1",
        "",
        "26",
        "74,113",
        "3 m 17.5 s",
        "2.50 s",
        "4.20 ms",
        "289.5 KiB",
    ]


def test_test_scores_and_the_searchs_validation_scores_share_no_table() -> None:
    text = _busy()
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        heading = block.splitlines()[0]
        assert not ("validation accuracy" in heading and "test accuracy" in heading)
    assert "therefore optimistic" in _section(text, "Search")
    assert "validation accuracy" not in _section(text, "Leaderboard")


def test_before_any_test_the_leaderboard_is_the_searchs_and_says_so() -> None:
    text = report(study(("full", "lora"), planned=1), [trial("full"), trial("lora")])
    board = _section(text, "Leaderboard")
    assert "No arm's choice has answered the test split yet." in board
    assert "| arm | best knobs | accuracy before | validation accuracy |" in board
    assert "therefore optimistic" in board
    assert "Answers of the test split, one per model: 0." in board
    assert "\n## Seeds\n" not in text
    assert "highest validation accuracy: 0.600" in text


def test_all_seeds_are_listed_and_lost_ones_counted() -> None:
    text = _busy()
    mean, *rest = _row(_section(text, "Seeds"), "| adapter ")[2:]
    values = _row(_section(text, "Seeds"), "| adapter ")[1].split()
    assert len(values) == 4
    assert float(mean) == pytest.approx(sum(map(float, values)) / 4, abs=6e-4)
    assert rest[1:3] == [min(values), max(values)]
    assert rest[-1] == "4/5, 1 lost"
    assert "> **LOST SEEDS**: 1 (adapter-" in text
    assert "-seed1003 | diverged | 1 | loss was nan" in _section(text, "Trials without a result")


def test_the_number_of_test_scorings_is_printed_and_strays_are_told() -> None:
    asked, records = _complete("full", "lora")
    text = report(asked, [*records, trial("lora", 1, right=100, test=90)])
    assert "one per model: 3. Of these, answers that no figure here uses: 1;" in text


def test_pairs_have_interval_p_value_and_mcnemars_count_and_a_mark_where_different() -> None:
    records = [trial("full", test=330), trial("lora", test=329), trial("linear", test=100)]
    text = report(study(("full", "lora", "linear"), planned=1), records)
    found = _section(text, "Differences between arms")
    assert _row(found, "| full ") == ["full", "", "+0.2", "**+46.0**"]
    assert _row(found, "| linear ") == ["linear", "**-46.0**", "**-45.8**", ""]
    # of 500 answers one differs: exact McNemar's p is 1
    close = _row(found, "| full | lora ")
    assert (close[2], close[5], close[6]) == ("no", "1.000", "0 of 1")
    far = _row(found, "| full | linear ")
    assert (far[2], far[5], far[6]) == ("yes", r"\<0.001", "1 of 1")


def test_tested_candidates_stand_in_the_plane_of_the_front_with_their_place() -> None:
    text = report_of(analyse(simulated_run({"full": 0.5, "lora": 0.7, "linear": 0.3})))
    front = _section(text, "Pareto front")
    assert [_row(front, f"| {arm}-000 ")[2] for arm in ("linear", "lora", "full")] == [
        "front",
        "front",
        "dominated",
    ]
    assert "| trial | knobs | trained parameters | validation accuracy |" in front
    assert "as optimistic as validation is" in front
    assert "at their validation accuracy, which is optimistic" in front
    assert "resamples (over seeds and questions)" in front


def test_hypervolume_is_told_with_its_reference() -> None:
    text = _section(report(*_complete("lora")), "Hypervolume")
    # (0.75 - 0.4) / 0.75 of the height, log10(22,713,601 / 74,113) / log10(22,713,601) of the width
    share = 0.35 / 0.75 * math.log10(22_713_601 / 74_113) / math.log10(22_713_601)
    assert f"Hypervolume of the tested candidates: {share:.3f}" in text
    assert "reference (0.750, 7.356)" in text
    assert "over questions only: one seed" in text
    assert "With many nearly equal candidates the interval is too narrow." in text
    assert f"| all arms | 1 | {share:.3f} |" in text


def test_latencies_are_shown_deployed_and_undeployed_at_both_batch_sizes() -> None:
    text = _section(_busy(), "Time and storage")
    assert "| 1 question: median | 1 question: IQR | 1 question: p95 | 32 questions: median" in text
    assert len(_row(text, "| lora | deployed ")) == len(_row(text, "| lora | undeployed ")) == 10
    assert "| full | undeployed" not in text


def test_budget_curves_and_importances_are_shown_where_there_are_any() -> None:
    random = report_of(analyse(busy_run(12, sampler="random"), IMPORTANCES))
    assert "| arm | n = 1 | n = 2 | n = 4 | n = 8 | n, all | of all |" in random
    assert "![Expected validation accuracy" in random
    assert r"| lora | learning\_rate | 0.620 |" in random
    assert "they always add up to 1, also where nothing matters" in random
    plain = report(*_complete("lora"))
    assert "Accuracy against budget" not in plain
    assert "expected_best" not in plain
    assert "Which knobs mattered" not in plain


def test_candidates_stopped_on_the_way_are_told_with_the_reason() -> None:
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=3), trials=2)
    assert run.freeze is not None
    first, second = run.freeze.candidates
    gone = second.model_copy(update={"stopped": "cannot reach the front"})
    changed = Run(
        study=run.study,
        searched=run.searched,
        confirmed=tuple(r for r in run.confirmed if r.arm == "full" or r.seed == 1001),
        freeze=run.freeze.model_copy(update={"candidates": (first, gone)}),
    )
    text = report_of(analyse(changed))
    assert "lora-000 after 1 of 3 seeds (cannot reach the front)" in _section(text, "Leaderboard")
    assert "PARTIAL" not in text


def test_missing_trials_make_the_report_partial() -> None:
    text = report(study(("full", "lora"), planned=3), [trial("full", n) for n in range(3)])
    assert "> **PARTIAL**: planned trials without a record: 3 of 6 (lora 3)." in text


def test_unequal_budgets_failures_and_empty_arms_get_banners() -> None:
    asked = study(("full", "lora"), planned=1).model_copy(
        update={"planned": {"full": 1, "lora": 2}}
    )
    records = [
        broken("full", 0, Status.OUT_OF_MEMORY, "batch of 16"),
        trial("lora"),
        broken("lora", 1),
    ]
    text = report(asked, records)
    assert "> **UNEQUAL BUDGETS**: planned trials differ (full 1, lora 2)." in text
    assert "> **FAILED TRIALS**: 2 (lora 1, full 1)." in text
    assert "> **NO RESULT**: full (1 out of memory)." in text
    failures = _section(text, "Trials without a result")
    assert "| full-000 | out of memory | 1 | batch of 16 |" in failures


def test_a_spent_budget_is_said_at_the_top_with_what_each_arm_got() -> None:
    asked = study(("full", "lora_2"), planned=2, budget_spent=BudgetSpent(budget="30m", stopped=1))
    text = report(asked, [trial("full", 0), trial("full", 1), trial("lora_2", 0)])
    assert (
        "> **PARTIAL**: budget of 30m spent: 1 of 4 planned trials have not run (lora\\_2 1; 1 of"
        " them stopped on the way); budgets are unequal: trials run lora\\_2 1, full 2. The same"
        " command goes on with a fresh budget."
    ) in text
    even = report(asked, [trial("full", 0), trial("lora_2", 0)])
    assert "2 of 4 planned trials" in even
    assert "unequal" not in even


def test_trials_stopped_early_are_counted_with_the_rule_and_never_chosen() -> None:
    rule = Halving(reduction_factor=3, grace_epochs=1)
    reason = "stopped after 1 of 3 epochs: place 2 of 2 in its arm, the best goes on"
    early = trial("lora", 1, right=400, status=Status.PRUNED, reason=reason, inference=None)
    text = report(study(("lora",), planned=2, halving=rule), [trial("lora", test=300), early])
    assert "after epoch 1 a trial went on only if it was among the best one in 3" in text
    assert "1 of 2 trials were stopped early (lora 1)." in _section(text, "Budget")
    assert "6 m 35.0 s" in _section(text, "Budget")
    assert "| 1/2, 1 stopped early |" in _section(text, "Search")
    assert "lora-001" not in _section(text, "Pareto front")
    assert "Faint hollow signs" in _section(text, "Pareto front")
    assert reason in _section(text, "Trials without a result")
    assert r"| reduction\_factor | 3 |" in _section(text, "Settings")
    assert "\n> " not in text


def test_a_rule_that_stopped_nobody_is_told_too() -> None:
    rule = Halving(reduction_factor=3, grace_epochs=1)
    text = report(study(("lora",), planned=1, halving=rule), [trial("lora")])
    assert "0 of 1 trials were stopped early." in text
    assert "Faint" not in text


def test_timings_on_a_shared_device_are_flagged_beside_the_leaderboard() -> None:
    asked = study(("full", "lora"), planned=1)
    text = report(asked, [trial("full", shared=True), trial("lora")])
    flag = "**Timings are not comparable: device shared** during 1 of 2 trials."
    assert flag in _section(text, "Leaderboard")
    assert flag in _section(text, "Warnings")


def _two_at_a_time() -> Run:
    """A run that searched on a shared device and confirmed on one of its own."""
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=2, questions=100), trials=2)
    searched = [
        record.model_copy(update={"seconds": record.seconds.model_copy(update=SHARED)})
        for record in run.searched
        if record.seconds
    ]
    return replace(run, searched=tuple(searched))


SHARED = {"device_shared": True}
FLAG = "**Timings are not comparable: device shared** during 4 of 4 trials."


def test_timings_of_a_search_two_at_a_time_are_flagged_beside_each_of_its_tables() -> None:
    text = report_of(analyse(_two_at_a_time()))
    for title in ("Pareto front", "Search", "Budget", "All trials"):
        assert _section(text, title).count(FLAG) == 1
    fresh = _section(text, "All trials").split("### On fresh seeds")[1]
    for clean in (_section(text, "Leaderboard"), _section(text, "Time and storage"), fresh):
        assert "device shared" not in clean


def test_until_a_confirmed_trial_is_tested_the_leaderboard_flags_the_searchs_timings() -> None:
    run = _two_at_a_time()
    blank = (record.model_copy(update={"test": None}) for record in run.confirmed)
    text = report_of(analyse(replace(run, confirmed=tuple(blank))))
    assert FLAG in _section(text, "Leaderboard")
    assert FLAG in _section(text, "Time and storage")


def test_an_arm_that_lost_all_seeds_has_no_timing_beside_those_of_tested_ones() -> None:
    run = _two_at_a_time()
    gone = dict.fromkeys(("accuracy", "parameters", "seconds", "inference", "test"))
    lost = {**gone, "status": Status.DIVERGED, "reason": "nan"}
    confirmed = (r.model_copy(update=lost) if r.arm == "lora" else r for r in run.confirmed)
    analysis = analyse(replace(run, confirmed=tuple(confirmed)))
    timing = _section(report_of(analysis), "Time and storage")
    assert "| full | deployed |" in timing
    assert "lora" not in timing
    assert [row.arm for row in timed_rows(analysis)] == ["full"]


def test_foreign_text_cannot_break_out_of_its_place() -> None:
    reason = "Traceback\nBad: | <script> [x](http://e) `y` *z*\n"
    asked = study(
        ("lora",), planned=2, dataset="a|b\n# new", model="<img>", command="run\n```\n# x"
    )
    text = report(asked, [trial("lora"), broken("lora", 1, reason=reason)])
    assert r"Bad: \| \<script\> \[x\](http://e) \`y\` \*z\*" in text
    assert r"Model \<img\>, dataset a\|b \# new, arms 1" in text
    assert text.rstrip().endswith("````sh\nrun\n```\n# x\n````")
    assert "<script>" not in text


def test_every_table_row_has_as_many_cells_as_its_heading() -> None:
    text = report(study(), [*realistic(), broken("lora", 9, reason="a|b\\|c")])
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        counts = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in block.splitlines()}
        assert len(counts) == 1


def test_the_report_holds_no_absolute_path_and_no_home_folder() -> None:
    asked = study(
        ("lora",),
        command="paretune sweep --data /home/ann/q.jsonl --out /srv/runs/demo",
        dataset="/home/ann/q.jsonl",
        model="/srv/models/bert",
        left_out=("plug-in at /opt/lib/x.py",),
    )
    text = report(asked, [broken("lora", 0, reason="in /home/ann/lib/x.py")])
    assert not re.search(r"ann\b|/srv|/opt|/home", text)
    assert "paretune sweep --data ~/q.jsonl --out …/demo" in text


def test_nothing_completed_is_said_and_not_a_crash() -> None:
    text = report(study(), [])
    assert "No trial was completed" in text
    assert "28 of 28" in text
    assert _section(text, "All trials") == "No trial has finished."


def test_the_report_tells_data_settings_provenance_and_the_command() -> None:
    text = report(*_complete("lora"))
    assert "| validation | dddd000011112222 | 500 |" in _section(text, "Data")
    assert r"| batch\_size | 16 |" in _section(text, "Settings")
    assert "| commit | 0123abc |" in _section(text, "Provenance")
    assert "torch 2.13.0" in _section(text, "Provenance")
    assert _section(text, "Run it again") == "```sh\nparetune sweep --preset demo\n```"
