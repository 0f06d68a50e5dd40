"""Every metric of the answers to test: one row per tested arm."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cache

from bench.records.study_record import Candidate, Freeze, Run
from bench.records.trial_record import TrialRecord
from reports import results
from reports.analysis import Analysis, analyse
from reports.page.html import html_report
from reports.table import Cell
from reports.text.markdown import report
from reports.write import render
from tests.helpers.records import one_seed_run, study, trial

CONTEXT = "abcd000011112222"


def judged(record: TrialRecord, macro_f1: float, calibration_error: float) -> TrialRecord:
    """The record with these scores on test."""
    assert record.test is not None
    scores = {
        "accuracy": record.test.accuracy,
        "macro_f1": macro_f1,
        "calibration_error": calibration_error,
    }
    return record.model_copy(update={"test": record.test.model_copy(update={"scores": scores})})


def repeated(arm: str, scores: Sequence[tuple[int, float, float]]) -> list[TrialRecord]:
    """A trial of the search and its repetitions: right answers, macro-F1, calibration error."""
    first = trial(arm)
    again = [
        judged(
            trial(
                arm, test=right, seed=seed, confirms=first.fingerprint, fingerprint=f"{arm}{seed}"
            ),
            macro_f1,
            error,
        )
        for seed, (right, macro_f1, error) in enumerate(scores, 1001)
    ]
    return [first, *again]


@cache
def run() -> Run:
    """Two arms with three fresh seeds each."""
    records = [
        *repeated("lora", [(300, 0.5, 0.30), (310, 0.7, 0.10), (305, 0.6, 0.15)]),
        *repeated("full", [(400, 0.8, 0.04), (410, 0.9, 0.02), (405, 0.7, 0.09)]),
    ]
    asked = study(
        ("lora", "full"), planned=1, confirm=3, contexts=dict.fromkeys(("lora", "full"), CONTEXT)
    )
    candidates = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=0, is_best=True, on_front=True)
        for r in records
        if not r.confirms
    )
    freeze = Freeze(searched="0" * 16, seeds=(1001, 1002, 1003), candidates=candidates)
    return Run.of(asked, records, freeze)


@cache
def analysis() -> Analysis:
    return analyse(run())


def untold() -> Analysis:
    """Of records that know no score but accuracy."""
    records = [trial("lora", test=300), trial("full", test=310)]
    return analyse(one_seed_run(study(("lora", "full"), planned=1), records))


def test_every_metric_is_a_median_over_seeds_with_an_arrow_to_better_values() -> None:
    table = results.scores(analysis())
    assert table.headings == (
        "arm",
        "test accuracy ↑",
        "test macro-F1 ↑",
        "test expected calibration error ↓",
        "seeds",
    )
    assert table.rows == (
        ("full", Cell(text="0.810", sort=0.81), Cell(text="0.800", sort=0.8),
         Cell(text="0.040", sort=0.04), "3/3"),
        ("lora", Cell(text="0.610", sort=0.61), Cell(text="0.600", sort=0.6),
         Cell(text="0.150", sort=0.15), "3/3"),
    )  # fmt: skip


def test_both_reports_show_them() -> None:
    text = report(analysis())
    section = text.partition("\n## Test metrics\n")[2].partition("\n## ")[0]
    assert "| full | 0.810 | 0.800 | 0.040 | 3/3 |" in section
    assert "[metrics.csv](metrics.csv)" in text
    table = html_report(analysis()).partition('id="table-test-metrics"')[2].partition("</table>")[0]
    assert ">test macro-F1 ↑</th>" in table
    assert table.index(">0.040</td>") < table.index(">0.150</td>")


def test_they_are_a_csv_beside_the_others() -> None:
    text = render(run(), {})["metrics.csv"].decode()
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"arm": "full", "trial": "full-000", "seeds_done": "3", "test_accuracy": "0.81",
         "test_macro_f1": "0.8", "test_calibration_error": "0.04"},
        {"arm": "lora", "trial": "lora-000", "seeds_done": "3", "test_accuracy": "0.61",
         "test_macro_f1": "0.6", "test_calibration_error": "0.15"},
    ]  # fmt: skip


def test_where_accuracy_is_the_only_one_there_is_no_such_table() -> None:
    assert results.scores(untold()).rows == ()
    assert "Test metrics" not in report(untold())
    assert "metrics.csv" not in report(untold())
    assert "table-test-metrics" not in html_report(untold())
    assert "metrics.csv" not in render(untold().run, {})


def test_an_arm_without_them_stays_in_its_place_with_empty_cells() -> None:
    records = [judged(trial("full", test=400), 0.8, 0.1), trial("lora", test=300)]
    found = analyse(one_seed_run(study(("full", "lora"), planned=1), records))
    assert results.scores(found).rows[1] == (
        "lora", Cell(text="0.600", sort=0.6), Cell(text=""), Cell(text=""), "1/1",
    )  # fmt: skip
