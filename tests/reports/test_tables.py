"""Tables of trials, arms and the front."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from bench.record import Status
from reports.tables import fit_for_csv, leaderboard_table, pareto_table, trials_table
from tests.reports.records import broken, realistic, study, trial

NAMED = (
    "trial fingerprint arm strategy status reason seed learning_rate rank alpha targets bottleneck"
    " placement accuracy_before validation_accuracy test_accuracy trained_parameters"
    " head_parameters total_parameters trained_tensors stored_bytes train_seconds"
    " inference_seconds inference_ms_p50 inference_ms_p95 peak_bytes best_epoch epochs_done epochs"
    " device precision inference_ms_iqr inference_repeats inference_ms_p50_undeployed"
    " inference_ms_p95_undeployed questions_per_second batched_ms_p50 batched_ms_p95"
    " batched_questions added_parameters added_at_inference train_seconds_per_question"
    " validation_seconds load_seconds checkpoint_seconds lost_seconds device_shared micro_batch"
    " attempts threads attention"
)


def _cells(frame: pd.DataFrame) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(fit_for_csv(frame).decode(), newline="")))


def test_the_columns_of_the_trials_table_are_these_in_this_order() -> None:
    frame = trials_table(study(("lora", "adapter")), [trial("adapter"), trial("lora")])
    assert list(frame.columns) == NAMED.split()


def test_missing_is_empty_and_whole_numbers_stay_whole() -> None:
    records = [trial("lora", 0, test=301), broken("lora", 1), trial("adapter")]
    full, empty, other = _cells(trials_table(study(("lora", "adapter")), records))
    assert (full["rank"], full["bottleneck"], other["rank"]) == ("8", "", "")
    assert (full["trained_parameters"], full["test_accuracy"]) == ("74113", "0.602")
    assert (full["status"], empty["status"], empty["reason"]) == ("completed", "failed", "it broke")
    measured = NAMED[NAMED.index("accuracy_before") :].split()
    assert {empty[name] for name in measured if name not in ("epochs", "attempts")} == {""}


def test_columns_are_numbers_that_can_be_sorted() -> None:
    frame = trials_table(study(("lora",)), [trial("lora", 0), broken("lora", 1)])
    assert str(frame["trained_parameters"].dtype) == "Int64"
    assert str(frame["validation_accuracy"].dtype) == "Float64"
    assert str(frame["device_shared"].dtype) == "boolean"


def test_a_knob_named_like_another_column_gets_a_name_of_its_own() -> None:
    (row,) = _cells(trials_table(study(("lora",)), [trial(knobs={"precision": 4, "rank": 2})]))
    assert (row["knob_precision"], row["precision"], row["rank"]) == ("4", "fp32", "2")


def test_trials_come_by_arm_as_the_study_lists_them_and_then_by_number() -> None:
    records = [trial("adapter", 1), trial("lora", 10), trial("lora", 2), trial("adapter", 0)]
    frame = trials_table(study(("lora", "adapter")), records)
    assert list(frame["trial"]) == ["lora-002", "lora-010", "adapter-000", "adapter-001"]


def test_a_spreadsheet_runs_nothing_from_a_csv_and_numbers_stay_numbers() -> None:
    reason = '=HYPERLINK("http://x")\r\n@b,"c"\r=d'
    records = [broken("lora", 0, reason=reason), trial("lora", 1, knobs={"a": "-1", "b": -1})]
    first, second = _cells(trials_table(study(("lora",)), records))
    assert first["reason"] == '\'=HYPERLINK("http://x")\n@b,"c"\n=d'
    assert (second["a"], second["b"]) == ("'-1", "-1")


def test_files_hold_no_absolute_path() -> None:
    records = [broken("lora", 0, reason="cannot read /home/ann/q.jsonl at /srv/app/x.py")]
    for frame in (trials_table(study(), records), leaderboard_table(study(), records)):
        assert b"/home" not in fit_for_csv(frame)
        assert b"/srv" not in fit_for_csv(frame)


def test_the_leaderboard_has_one_row_per_arm_with_its_chosen_trial_and_counts() -> None:
    records = [
        trial("lora", 0, right=200),
        trial("lora", 1, right=310, test=300),
        broken("lora", 2, Status.DIVERGED),
        trial("lora", 3, right=400, status=Status.PRUNED),
        broken("full", 0, Status.OUT_OF_MEMORY, "needs 90 GiB"),
    ]
    lora, full = _cells(leaderboard_table(study(("full", "lora")), records))
    assert (lora["arm"], lora["trial"], lora["validation_accuracy"]) == ("lora", "lora-001", "0.62")
    assert (lora["completed"], lora["planned"], lora["failed"]) == ("2", "4", "1")
    assert (lora["pruned"], full["pruned"]) == ("1", "0")
    assert lora["knobs"] == "rank=8 alpha=16 targets=query+value learning_rate=0.0001"
    interval = float(lora["test_low"]), float(lora["test_high"])
    assert interval == pytest.approx((0.55645, 0.64200), abs=5e-5)
    assert (full["trial"], full["test_accuracy"], full["planned"]) == ("", "", "4")
    assert (full["trials"], full["reason"]) == ("1 out of memory, 3 missing", "needs 90 GiB")


def test_the_leaderboard_can_be_sorted_by_any_metric() -> None:
    frame = leaderboard_table(study(), realistic(), sort="trained_parameters")
    assert list(frame["trained_parameters"]) == sorted(frame["trained_parameters"])


def test_the_pareto_table_holds_all_completed_trials() -> None:
    records = [trial("lora", 0, right=200), trial("lora", 1, right=210), broken("lora", 2)]
    rows = _cells(pareto_table(study(("lora",)), records))
    assert [(row["accuracy"], row["trained_parameters"], row["on_front"]) for row in rows] == [
        ("0.42", "74113", "True"),
        ("0.4", "74113", "False"),
    ]


def test_tables_of_nothing_keep_their_columns() -> None:
    assert list(trials_table(study(), []).columns)[:3] == ["trial", "fingerprint", "arm"]
    assert list(pareto_table(study(), []).columns)[-1] == "on_front"
    assert len(leaderboard_table(study(), [])) == 7
