"""What a report says of the task, also of studies that knew less of it."""

from __future__ import annotations

from bench.records.study_record import Run
from reports.analysis import analyse
from reports.facts import learnt
from reports.page.html import html_report
from reports.table import Table
from reports.text.markdown import report
from tests.helpers.records import study

LABELS = ("anger", "fear", "joy", "love", "sad", "sure", "<b>|wild", "zeal")
OF_TEXTS = Run(
    study=study(
        ("lora",),
        task="sequence_classification",
        task_settings={"labels": LABELS, "pairs": False},
        columns={"text": "review", "label": "mood"},
        objective="calibration_error",
    ),
    searched=(),
)


def _rows(table: Table) -> dict[object, object]:
    return {row[0]: row[1] for row in table.rows}


def test_task_labels_columns_and_objective_are_named() -> None:
    assert _rows(learnt(OF_TEXTS)) == {
        "task": "sequence_classification",
        "labels": "8: anger, fear, joy, love, sad, sure and 2 more",
        "pairs": "no",
        "text column": "review",
        "label column": "mood",
        "objective": "validation expected calibration error ↓",
    }


def test_a_study_that_settled_nothing_names_task_and_objective() -> None:
    assert _rows(learnt(Run(study=study(), searched=()))) == {
        "task": "multiple_choice",
        "objective": "validation accuracy ↑",
    }


def test_the_reports_tell_it() -> None:
    analysis = analyse(OF_TEXTS)
    text, page = report(analysis), html_report(analysis)
    assert r"task sequence\_classification, objective expected calibration error" in text
    assert "| labels | 8: anger, fear, joy, love, sad, sure and 2 more |" in text
    assert "<dt>objective</dt><dd>expected calibration error</dd>" in page
    table = page.partition('id="table-learnt"')[2].partition("</table>")[0]
    assert ">text column</th>" in table
    assert ">review</td>" in table


def test_labels_cannot_break_out_of_the_reports() -> None:
    asked = OF_TEXTS.study.model_copy(update={"task_settings": {"labels": ("<b>|wild", "b")}})
    analysis = analyse(Run(study=asked, searched=()))
    assert r"| 2: \<b\>\|wild and b |" in report(analysis)
    assert "2: &lt;b&gt;|wild and b" in html_report(analysis)
