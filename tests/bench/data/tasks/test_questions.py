"""From foreign rows to questions: both schemas, and every fault with its place."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bench.data.rows import MAX_LINE_BYTES, RowError, examples_of, numbered, read_lines
from bench.data.tasks.multiple_choice import Question, question_from_row
from bench.task import Row


def read_questions(path: Path, faults: list[str]) -> list[Question]:
    return examples_of(path.name, read_lines(path), question_from_row, faults, "question")


def questions_from_rows(name: str, rows: Iterable[Row], faults: list[str]) -> list[Question]:
    return examples_of(name, numbered(rows), question_from_row, faults, "question")


def row(**changes: Any) -> dict[str, Any]:
    """A sound row; a change to ``None`` takes the field out."""
    sound = {
        "id": "q1",
        "question_stem": "What do bees make?",
        "choices": {"text": ["wax", "glass", "steel"], "label": ["A", "B", "C"]},
        "answerKey": "A",
    }
    return {key: value for key, value in {**sound, **changes}.items() if value is not None}


def choices(count: int) -> dict[str, Any]:
    return {
        "text": [f"choice {index}" for index in range(count)],
        "label": [str(index) for index in range(count)],
    }


def write(path: Path, *lines: object) -> Path:
    """JSON lines; bytes are written as they are."""
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def faults_of(path: Path) -> list[str]:
    faults: list[str] = []
    read_questions(path, faults)
    return faults


@pytest.mark.parametrize("field", ["question_stem", "question"])
def test_both_schemas_are_read(field: str) -> None:
    text = {"question_stem": None, field: "What do bees make?"}
    assert question_from_row(row(**text, answerKey="B"), "x") == Question(
        identifier="q1", text="What do bees make?", choices=("wax", "glass", "steel"), answer=1
    )


@pytest.mark.parametrize("count", range(2, 9))
def test_two_to_eight_choices_are_read(count: int) -> None:
    question = question_from_row(row(choices=choices(count), answerKey=str(count - 1)), "x")
    assert len(question.choices) == count
    assert question.answer == count - 1


@pytest.mark.parametrize("count", [1, 9])
def test_one_and_nine_choices_are_refused(count: int) -> None:
    with pytest.raises(RowError, match=f"choices: 2 to 8 are allowed, got {count}"):
        question_from_row(row(choices=choices(count), answerKey="0"), "x")


def test_questions_of_one_file_may_have_different_numbers_of_choices(tmp_path: Path) -> None:
    lines = [row(id=str(count), choices=choices(count), answerKey="1") for count in (2, 8, 5)]
    faults: list[str] = []
    questions = read_questions(write(tmp_path / "train.jsonl", *lines), faults)
    assert faults == []
    assert [len(question.choices) for question in questions] == [2, 8, 5]


def test_the_answer_is_found_by_its_label_not_by_its_place() -> None:
    labelled = {"text": ["wax", "glass"], "label": ["2", "1"]}
    assert question_from_row(row(choices=labelled, answerKey="1"), "x").answer == 1


def test_a_question_without_an_id_is_called_by_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", row(), b"", row(id=None))
    assert [question.identifier for question in read_questions(path, [])] == ["q1", "test-3"]


def test_blanks_between_words_do_not_count() -> None:
    spaced = row(question_stem="  What\tdo\n bees  make? ")
    assert question_from_row(spaced, "x").text == "What do bees make?"


def test_equal_content_is_recognised_whatever_case_spacing_and_order() -> None:
    first = question_from_row(row(), "x")
    turned = {"text": ["STEEL", " wax", "Glass"], "label": ["A", "B", "C"]}
    again = question_from_row(row(question_stem="what DO bees  make?", choices=turned), "y")
    other = question_from_row(row(choices=choices(3), answerKey="0"), "z")
    assert first.normalised == again.normalised
    assert first.normalised != other.normalised


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"question_stem": " "}, 'question_stem: must be a non-empty text, got " "'),
        ({"question_stem": 7}, "question_stem: must be a non-empty text, got 7"),
        ({"question_stem": None}, "question: must be a non-empty text, got null"),
        ({"question_stem": "half \ud800"}, "question_stem: must be a non-empty text"),
        ({"answerKey": "D"}, 'answerKey: must be one of A, B, C, got "D"'),
        ({"answerKey": None}, "answerKey: must be one of A, B, C, got null"),
        ({"answerKey": ["A"]}, 'answerKey: must be one of A, B, C, got ["A"]'),
        ({"choices": ["wax", "glass"]}, "choices: must be an object with text and label"),
        ({"choices": {"text": ["wax", "glass"]}}, "choices: must be an object with text and label"),
        (
            {"choices": {"text": ["wax", ""], "label": ["A", "B"]}},
            "choices: text and label must be lists of non-empty texts",
        ),
        (
            {"choices": {"text": ["wax", "glass"], "label": ["A", "A"]}},
            'choices.label: one different label per text, got ["A", "A"]',
        ),
        (
            {"choices": {"text": ["wax", "glass", "steel"], "label": ["A", "B"]}},
            'choices.label: one different label per text, got ["A", "B"]',
        ),
    ],
)
def test_a_fault_names_field_rule_and_value(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(RowError) as caught:
        question_from_row(row(**change), "x")
    (told,) = caught.value.faults
    assert told.startswith(fault)


def test_all_faults_of_a_row_are_told_together() -> None:
    with pytest.raises(RowError) as caught:
        question_from_row(row(question_stem="", choices=choices(9), answerKey="Z"), "x")
    fields = [fault.partition(":")[0] for fault in caught.value.faults]
    assert fields == ["question_stem", "choices", "answerKey"]


def test_a_long_value_is_shown_cut() -> None:
    with pytest.raises(RowError) as caught:
        question_from_row(row(answerKey="x" * 5000), "x")
    assert len(caught.value.faults[0]) < 150


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [json.dumps(row(id=name, question_stem=f"Größe {name}?")) for name in ("a", "b")]
    path.write_bytes("\r\n".join([f"\ufeff{lines[0]}", "", lines[1], ""]).encode())
    faults: list[str] = []
    questions = read_questions(path, faults)
    assert faults == []
    assert [question.text for question in questions] == ["Größe a?", "Größe b?"]


def test_every_faulty_line_is_told_with_its_number_and_the_sound_ones_are_read(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path / "train.jsonl",
        row(id="sound"),
        json.dumps(row()).encode()[:40],
        b'{"id": "caf\xe9"}',
        b"[1, 2]",
        row(id="label", answerKey="Z"),
        b"x" * (MAX_LINE_BYTES + 1),
        b"[" * 100_000,
        b'{"id": ' + b"1" * 5000 + b"}",
        row(id="sound too"),
    )
    faults: list[str] = []
    questions = read_questions(path, faults)
    assert [question.identifier for question in questions] == ["sound", "sound too"]
    starts = [
        "train.jsonl:2: row: is no complete JSON (",
        "train.jsonl:3: row: is not UTF-8 (",
        "train.jsonl:4: row: must be an object, got [1, 2]",
        'train.jsonl:5: answerKey: must be one of A, B, C, got "Z"',
        "train.jsonl:6: row: 1000001 bytes, allowed 1000000",
        "train.jsonl:7: row: is no complete JSON (",
        "train.jsonl:8: row: is no complete JSON (",
    ]
    assert len(faults) == len(starts)
    for fault, start in zip(faults, starts, strict=True):
        assert fault.startswith(start)


def test_a_line_of_just_the_allowed_size_is_read(tmp_path: Path) -> None:
    line = json.dumps(row()).encode()
    path = write(tmp_path / "train.jsonl", line + b" " * (MAX_LINE_BYTES - len(line)))
    assert faults_of(path) == []


def test_an_id_that_stands_again_is_told_with_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", row(), row(), row(), row(id="q2"))
    assert faults_of(path) == [
        'train.jsonl:2: id: "q1" stands on line 1 too',
        'train.jsonl:3: id: "q1" stands on line 1 too',
    ]


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"\xef\xbb\xbf"])
def test_a_file_without_questions_is_a_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test.jsonl"
    path.write_bytes(content)
    assert faults_of(path) == ["test.jsonl: holds no question"]


def test_an_empty_file_is_told_beside_the_faults_of_another(tmp_path: Path) -> None:
    faults: list[str] = []
    read_questions(write(tmp_path / "train.jsonl", b"{"), faults)
    read_questions(write(tmp_path / "test.jsonl", b""), faults)
    assert len(faults) == 2
    assert faults[1] == "test.jsonl: holds no question"


def test_a_file_whose_every_line_is_faulty_is_not_called_empty_too(tmp_path: Path) -> None:
    assert len(faults_of(write(tmp_path / "train.jsonl", b"{"))) == 1


def test_rows_that_come_from_no_file_are_checked_the_same() -> None:
    faults: list[str] = []
    rows = [row(id=None), row(answerKey="Z"), row(id="q1")]
    questions = questions_from_rows("validation", rows, faults)
    assert [question.identifier for question in questions] == ["validation-1", "q1"]
    assert faults == ['validation:2: answerKey: must be one of A, B, C, got "Z"']
