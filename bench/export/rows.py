"""Rows to be answered: multiple-choice questions whose answers may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.questions import Question, Row, question_from_row, read_questions

ANSWER = "answerKey"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row that is to be answered.

    Attributes:
        question: its content; ``answer`` means nothing where none was given.
        labels: what its choices are called.
        answered: whether the right choice was given.
    """

    question: Question
    labels: tuple[str, ...]
    answered: bool


def read_rows(path: Path) -> list[Asked]:
    """Reads a JSON-lines file of questions.

    Args:
        path: rows as of a dataset; ``answerKey`` may be missing or empty.

    Raises:
        DataError: with every fault found, as ``file:line: field: what``.
    """
    faults: list[str] = []
    asked: list[Asked] = []

    def read(row: Row, identifier: str) -> Question:
        found = _asked(row, identifier)
        asked.append(found)
        return found.question

    try:
        read_questions(path, faults, read)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if faults:
        raise DataError(*faults)
    return asked


def _asked(row: Row, identifier: str) -> Asked:
    """A row as a question; one without an answer is read as if the first choice were right.

    Raises:
        RowError: with every fault of the row.
    """
    answered = row.get(ANSWER) not in (None, "")
    labels = _labels(row)
    known = row if answered or not labels else {**row, ANSWER: labels[0]}
    question = question_from_row(known, identifier)
    return Asked(question=question, labels=labels, answered=answered)


def _labels(row: Row) -> tuple[str, ...]:
    """What the choices of a row are called; empty where it does not say."""
    choices = row.get("choices")
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    return tuple(map(str, labels)) if isinstance(labels, list | tuple) else ()
