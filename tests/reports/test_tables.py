"""Tables of trials, arms and the front."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cache

import pandas as pd
import pytest

from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from reports.analysis import analyse
from reports.frames import fit_for_csv
from reports.metrics import COLUMNS
from reports.tables import (
    leaderboard_table,
    pairwise_table,
    pareto_table,
    search_pareto_table,
    search_table,
)
from reports.trials_table import trials_table
from tests.helpers.records import broken, one_seed_run, study, trial
from tests.helpers.simulate import World, simulated_run

NAMED = (
    "trial fingerprint arm strategy phase confirms status reason seed learning_rate rank alpha "
    "targets bottleneck placement accuracy_before validation_accuracy test_accuracy "
    "validation_macro_f1 validation_matthews validation_calibration_error "
    "test_macro_f1 test_matthews test_calibration_error "
    "trained_parameters head_parameters total_parameters trained_tensors stored_bytes "
    "train_seconds inference_seconds peak_bytes questions_per_second "
    "inference_ms_p50 inference_ms_iqr inference_ms_p95 "
    "inference_ms_p50_undeployed inference_ms_iqr_undeployed inference_ms_p95_undeployed "
    "batched_ms_p50 batched_ms_iqr batched_ms_p95 "
    "batched_ms_p50_undeployed batched_ms_iqr_undeployed batched_ms_p95_undeployed "
    "added_at_inference best_epoch epochs_done epochs device precision inference_repeats "
    "batched_repeats batched_questions added_parameters train_seconds_per_question "
    "validation_seconds load_seconds checkpoint_seconds compile_seconds lost_seconds device_shared "
    "micro_batch "
    "attempts threads attention"
)


def _searched(asked: StudyRecord, records: Sequence[TrialRecord]) -> Run:
    return Run(study=asked, searched=tuple(records))


def _cells(frame: pd.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(fit_for_csv(frame).decode(), newline="")))


def test_the_columns_of_the_trials_table_are_these_in_this_order() -> None:
    frame = trials_table(_searched(study(("lora", "adapter")), [trial("adapter"), trial("lora")]))
    assert list(frame.columns) == NAMED.split()


def test_the_trials_table_holds_every_metric_there_is() -> None:
    frame = trials_table(_searched(study(("lora",)), [trial("lora")]))
    assert set(COLUMNS) <= set(frame.columns)


def test_missing_is_empty_and_whole_numbers_stay_whole() -> None:
    records = [trial("lora", 0, test=301), broken("lora", 1), trial("adapter")]
    full, empty, other = _cells(trials_table(_searched(study(("lora", "adapter")), records)))
    assert (full["rank"], full["bottleneck"], other["rank"]) == ("8", "", "")
    assert (full["trained_parameters"], full["test_accuracy"]) == ("74113", "0.602")
    assert (full["status"], empty["status"], empty["reason"]) == ("completed", "failed", "it broke")
    measured = NAMED[NAMED.index("accuracy_before") :].split()
    assert {empty[name] for name in measured if name not in ("epochs", "attempts")} == {""}


def test_columns_are_numbers_that_can_be_sorted() -> None:
    frame = trials_table(_searched(study(("lora",)), [trial("lora", 0), broken("lora", 1)]))
    assert str(frame["trained_parameters"].dtype) == "Int64"
    assert str(frame["validation_accuracy"].dtype) == "Float64"
    assert str(frame["device_shared"].dtype) == "boolean"


def test_a_knob_named_like_another_column_gets_a_name_of_its_own() -> None:
    (row,) = _cells(
        trials_table(_searched(study(("lora",)), [trial(knobs={"precision": 4, "rank": 2})]))
    )
    assert (row["knob_precision"], row["precision"], row["rank"]) == ("4", "fp32", "2")


def test_trials_come_by_arm_as_the_study_lists_them_and_then_by_number() -> None:
    records = [trial("adapter", 1), trial("lora", 10), trial("lora", 2), trial("adapter", 0)]
    frame = trials_table(_searched(study(("lora", "adapter")), records))
    assert list(frame["trial"]) == ["lora-002", "lora-010", "adapter-000", "adapter-001"]


def test_a_spreadsheet_runs_nothing_from_a_csv_and_numbers_stay_numbers() -> None:
    reason = '=HYPERLINK("http://x")\r\n@b,"c"\r=d'
    records = [broken("lora", 0, reason=reason), trial("lora", 1, knobs={"a": "-1", "b": -1})]
    first, second = _cells(trials_table(_searched(study(("lora",)), records)))
    assert first["reason"] == '\'=HYPERLINK("http://x")\n@b,"c"\n=d'
    assert (second["a"], second["b"]) == ("'-1", "-1")


def test_files_hold_no_absolute_path() -> None:
    records = [broken("lora", 0, reason="cannot read /home/ann/q.jsonl at /srv/app/x.py")]
    run = _searched(study(), records)
    for frame in (trials_table(run), leaderboard_table(analyse(run)), search_table(run)):
        assert b"cannot read" in fit_for_csv(frame)
        assert b"/home" not in fit_for_csv(frame)
        assert b"/srv" not in fit_for_csv(frame)


@cache
def _confirmed() -> Run:
    return simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=3, questions=200), trials=2)


def test_trials_of_all_phases_are_rows_and_say_what_they_confirm() -> None:
    run = _confirmed()
    moved = Run(
        study=run.study,
        searched=run.searched,
        confirmed=run.confirmed[:-1],
        former=run.confirmed[-1:],
        freeze=run.freeze,
    )
    rows = _cells(trials_table(moved))
    assert [(row["phase"], row["seed"]) for row in rows] == [
        *([("search", "17")] * 4),
        *(("confirm", seed) for seed in ("1001", "1002", "1003", "1001", "1002")),
        ("former", "1003"),
    ]
    trials = {row["fingerprint"]: row["trial"] for row in rows}
    assert [trials[row["confirms"]] for row in rows[4:]] == ["full-000"] * 3 + ["lora-000"] * 3
    assert {row["confirms"] for row in rows[:4]} == {""}


def test_the_leaderboard_holds_test_scores_with_interval_and_seeds() -> None:
    records = [
        trial("lora", 0, right=200),
        trial("lora", 1, right=310, test=300),
        broken("lora", 2, Status.DIVERGED),
        broken("full", 0, Status.OUT_OF_MEMORY, "needs 90 GiB"),
    ]
    run = one_seed_run(study(("full", "lora")), records)
    lora, full = _cells(leaderboard_table(analyse(run)))
    assert (lora["rank"], lora["arm"], lora["trial"]) == ("1", "lora", "lora-001")
    assert lora["knobs"] == "rank=8 alpha=16 targets=query+value learning_rate=0.0001"
    interval = float(lora["test_low"]), float(lora["test_high"])
    assert interval == pytest.approx((0.55645, 0.64200), abs=5e-5)
    assert (lora["test_accuracies"], lora["interval_over"]) == ("0.6", "questions")
    assert (lora["seeds_done"], lora["seeds_planned"], lora["seeds_lost"]) == ("1", "1", "0")
    assert (full["rank"], full["test_accuracy"], full["seeds_planned"]) == ("", "", "")
    assert full["untested"] == "1 out of memory, 3 missing: needs 90 GiB"
    assert "validation_accuracy" not in lora


def test_seeds_are_described_by_hand_worked_figures() -> None:
    scores = (250, 300, 310, 320, 400)
    run = one_seed_run(study(("lora",)), [trial("lora", right=310, test=300)])
    (chosen,) = run.searched
    again = [
        trial("lora", right=310, test=score, seed=seed, confirms=chosen.fingerprint)
        for seed, score in enumerate(scores, 1001)
    ]
    assert run.freeze is not None
    freeze = run.freeze.model_copy(update={"seeds": tuple(range(1001, 1006))})
    lost = broken("lora", 0, Status.DIVERGED).model_copy(
        update={"seed": 1005, "confirms": chosen.fingerprint}
    )
    for confirmed, values in (
        (again, ("0.632", "0.5", "0.8", "0.62", "5", "0")),
        ([*again[:4], lost], ("0.59", "0.5", "0.64", "0.61", "4", "1")),
    ):
        changed = Run(
            study=run.study, searched=run.searched, confirmed=tuple(confirmed), freeze=freeze
        )
        (row,) = _cells(leaderboard_table(analyse(changed)))
        names = ("test_accuracy", "test_min", "test_max", "test_iqm", "seeds_done", "seeds_lost")
        assert [float(row[name]) for name in names] == pytest.approx([float(v) for v in values])
        assert row["interval_over"] == "seeds and questions"
        assert row["seeds_planned"] == "5"
    # of 250 300 310 320: mean 295, deviations -45 5 15 25, squares 2900, sqrt(2900 / 3) = 31.09
    assert float(row["test_sd"]) == pytest.approx(31.0913 / 500, abs=1e-6)


def test_the_searchs_table_has_one_row_per_arm_with_its_best_trial_and_counts() -> None:
    records = [
        trial("lora", 0, right=200),
        trial("lora", 1, right=310, test=300),
        broken("lora", 2, Status.DIVERGED),
        trial("lora", 3, right=400, status=Status.PRUNED),
        broken("full", 0, Status.OUT_OF_MEMORY, "needs 90 GiB"),
    ]
    lora, full = _cells(search_table(_searched(study(("full", "lora")), records)))
    assert (lora["arm"], lora["trial"], lora["validation_accuracy"]) == ("lora", "lora-001", "0.62")
    assert (lora["completed"], lora["planned"], lora["failed"]) == ("2", "4", "1")
    assert (lora["pruned"], full["pruned"]) == ("1", "0")
    assert lora["knobs"] == "rank=8 alpha=16 targets=query+value learning_rate=0.0001"
    assert (full["trial"], full["planned"]) == ("", "4")
    assert (full["trials"], full["reason"]) == ("1 out of memory, 3 missing", "needs 90 GiB")
    assert not any("test" in name for name in lora)


def test_the_searchs_plane_holds_all_completed_trials() -> None:
    records = [trial("lora", 0, right=200), trial("lora", 1, right=210), broken("lora", 2)]
    rows = _cells(search_pareto_table(_searched(study(("lora",)), records)))
    names = ("validation_accuracy", "trained_parameters", "on_front")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("0.42", "74113", "True"),
        ("0.4", "74113", "False"),
    ]


def test_the_plane_holds_tested_candidates_with_interval_and_place() -> None:
    rows = _cells(pareto_table(analyse(_confirmed())))
    assert [(row["trial"], row["place"]) for row in rows] == [
        ("lora-000", "front"),
        ("full-000", "front"),
    ]
    for row in rows:
        assert float(row["test_low"]) < float(row["test_accuracy"]) < float(row["test_high"])


def test_every_two_tested_arms_are_a_row_of_the_pairs() -> None:
    records = [trial("full", test=330), trial("lora", test=300), trial("linear", test=100)]
    run = one_seed_run(study(("full", "lora", "linear"), planned=1), records)
    rows = _cells(pairwise_table(analyse(run)))
    assert [(row["first"], row["second"]) for row in rows] == [
        ("full", "lora"),
        ("full", "linear"),
        ("lora", "linear"),
    ]
    assert [float(row["difference"]) for row in rows] == pytest.approx([0.06, 0.46, 0.4])
    # 30 answers differ, all in favour of the first: p = 2 · 2^-30; Holm leaves the largest as it is
    assert float(rows[0]["p"]) == pytest.approx(2**-29)
    assert float(rows[0]["p_holm"]) == pytest.approx(2**-29)
    assert (rows[0]["is_different"], rows[0]["mcnemar_runs"]) == ("True", "1")
    assert {row["interval_over"] for row in rows} == {"questions"}
    (pair,) = _cells(pairwise_table(analyse(_confirmed())))
    assert pair["interval_over"] == "seeds and questions"


def test_the_leaderboard_says_whose_timings_are_of_a_shared_device() -> None:
    records = [trial("full", test=330, shared=True), trial("lora", test=300), broken("linear", 0)]
    run = one_seed_run(study(("full", "lora", "linear"), planned=1), records)
    rows = _cells(leaderboard_table(analyse(run)))
    assert [row["device_shared"] for row in rows] == ["True", "False", ""]


def test_tables_of_nothing_keep_their_columns() -> None:
    nothing = _searched(study(), [])
    analysis = analyse(nothing)
    assert list(trials_table(nothing).columns)[:3] == ["trial", "fingerprint", "arm"]
    assert list(pareto_table(analysis).columns)[-1] == "place"
    assert list(search_pareto_table(nothing).columns)[-1] == "on_front"
    assert list(pairwise_table(analysis).columns)[:2] == ["first", "second"]
    assert len(leaderboard_table(analysis)) == len(search_table(nothing)) == 7
