"""Rows with and without answers, every fault told, and the answers as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tasks.sequence_classification import SequenceClassification
from bench.errors import DataError, InputError
from bench.export.predict import answers_of, csv_table, json_lines, scores_of, writer_for
from bench.export.predict import read_rows as read_rows_of
from bench.task import NO_COLUMNS, Asked, Columns

ROW: dict[str, Any] = {
    "id": "q1",
    "question_stem": "Where does the sun rise?",
    "choices": {"text": ["east", "west"], "label": ["A", "B"]},
    "answerKey": "A",
}
WIDER = ROW | {"id": "q2", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}}
LOGITS = np.array([[2.0, 0.0, -np.inf], [0.0, 0.0, np.log(2)]], dtype=np.float32)


QUESTIONS = MultipleChoice()


def read_rows(path: Path) -> list[Asked[Any]]:
    return read_rows_of(path, QUESTIONS, NO_COLUMNS)


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "changes", [{}, {"answerKey": None}, {"answerKey": ""}], ids=["given", "null", "empty"]
)
def test_an_answer_may_be_given_or_not(tmp_path: Path, changes: dict[str, Any]) -> None:
    (asked,) = read_rows(write(tmp_path / "rows.jsonl", ROW | changes))
    assert asked.answered == (not changes)
    assert asked.labels == ("A", "B")
    assert asked.example.choices == ("east", "west")


def test_a_row_without_the_key_is_answered_too(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key != "answerKey"}
    assert not read_rows(write(tmp_path / "rows.jsonl", row))[0].answered


def test_every_bad_row_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "rows.jsonl",
        ROW,
        {"question_stem": ""},
        ROW | {"id": "q2", "answerKey": "Z"},
        ROW,
        ["no object"],
    )
    with pytest.raises(DataError) as error:
        read_rows(path)
    told = "\n".join(error.value.problems)
    for expected in (
        "rows.jsonl:2: question_stem: must be a non-empty text",
        "rows.jsonl:2: choices: must be an object",
        "rows.jsonl:3: answerKey: must be one of A, B",
        'rows.jsonl:4: id: "q1" stands on line 1 too',
        "rows.jsonl:5: row: must be an object",
    ):
        assert expected in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_rows(tmp_path / "rows.jsonl")


def test_an_answer_holds_label_and_the_softmax_over_its_own_choices(tmp_path: Path) -> None:
    asked = read_rows(write(tmp_path / "rows.jsonl", ROW, WIDER | {"answerKey": ""}))
    first, second = answers_of(QUESTIONS, asked, LOGITS)
    assert (first.prediction, first.given, first.right) == ("A", 0, 0)
    assert first.probabilities == pytest.approx(
        {"A": 1 / (1 + np.exp(-2)), "B": 1 / (1 + np.exp(2))}
    )
    assert (second.prediction, second.right) == ("3", None)
    assert second.probabilities == pytest.approx({"1": 0.25, "2": 0.25, "3": 0.5})
    scores, known = scores_of(QUESTIONS, [first, second])
    assert known == 1
    assert scores == pytest.approx(
        {"accuracy": 1.0, "calibration_error": 1 - first.probabilities["A"]}
    )
    assert scores_of(QUESTIONS, [second]) == ({}, 0)


def test_answers_are_written_as_json_lines_and_as_a_table(tmp_path: Path) -> None:
    asked = read_rows(write(tmp_path / "rows.jsonl", ROW, WIDER | {"answerKey": ""}))
    answers = answers_of(QUESTIONS, asked, LOGITS)
    lines = [json.loads(line) for line in json_lines(answers).splitlines()]
    assert [line["id"] for line in lines] == ["q1", "q2"]
    assert lines[1]["probabilities"]["3"] == pytest.approx(0.5)
    table = list(csv.DictReader(csv_table(answers).splitlines()))
    assert list(table[0]) == ["id", "prediction", *(f"probability_{c}" for c in "AB123")]
    assert (table[0]["prediction"], table[0]["probability_1"]) == ("A", "")
    assert float(table[1]["probability_2"]) == pytest.approx(0.25)


def test_a_file_that_could_be_either_is_asked_about() -> None:
    with pytest.raises(InputError, match=r"must end in \.csv or \.jsonl"):
        writer_for(Path("answers.txt"))


MOODS = SequenceClassification(labels=("bad", "good"))
BODY = Columns(text="body", label="mood")


def table(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_text_is_answered_with_or_without_its_label(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", "id,body,mood", "a,fine,good", "b,poor,", "c,so so,-1")
    asked = read_rows_of(path, MOODS, BODY)
    assert [row.example.identifier for row in asked] == ["a", "b", "c"]
    assert [row.answered for row in asked] == [True, False, False]
    assert {tuple(row.labels) for row in asked} == {("bad", "good")}
    logits = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    answers = answers_of(MOODS, asked, logits)
    assert [answer.prediction for answer in answers] == ["good", "bad", "good"]
    scores, known = scores_of(MOODS, answers)
    assert (known, scores["accuracy"], set(scores)) == (1, 1.0, set(MOODS.metrics))


def test_columns_may_have_other_names_than_in_training(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", "words", "fine")
    (row,) = read_rows_of(path, MOODS, BODY, Columns(text="words"))
    assert (row.example.content[0], row.answered) == ("fine", False)
    with pytest.raises(DataError, match="--text-column body: no such column; the data have words"):
        read_rows_of(path, MOODS, BODY)
    with pytest.raises(DataError, match=r"--label-column mod: no such column; rows\.csv has words"):
        read_rows_of(path, MOODS, BODY, Columns(text="words", label="mod"))


def test_a_second_text_is_read_where_the_training_data_had_one(tmp_path: Path) -> None:
    pairs = SequenceClassification(labels=("no", "yes"), pairs=True)
    path = table(tmp_path / "rows.tsv", "text\ttext_pair", "fine\tpoor")
    (row,) = read_rows_of(path, pairs, Columns(text="text", pair="text_pair", label="label"))
    assert pairs.segments(row.example) == [("fine", "poor")]
    (row,) = read_rows_of(path, MOODS, Columns(text="text", label="label"))
    assert MOODS.segments(row.example) == [("fine",)]


def test_every_bad_text_is_told(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", "body,mood", ",good", "fine,great", ",great")
    with pytest.raises(DataError) as error:
        read_rows_of(path, MOODS, BODY)
    assert list(error.value.problems) == [
        'rows.csv:2: body: must be a non-empty text, got ""',
        'rows.csv:3: mood: must be one of "bad", "good", got "great"',
        'rows.csv:4: body: must be a non-empty text, got ""',
        'rows.csv:4: mood: must be one of "bad", "good", got "great"',
    ]
