"""One multiple-choice question, and the check that turns foreign rows into questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

MIN_CHOICES, MAX_CHOICES = 2, 8
MAX_LINE_BYTES = 1_000_000

Row: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with its choices.

    Attributes:
        identifier: unique in its split.
        text: the question.
        choices: two to eight texts.
        answer: index of the right one in ``choices``.
    """

    identifier: str
    text: str
    choices: tuple[str, ...]
    answer: int

    @property
    def normalised(self) -> tuple[str, tuple[str, ...]]:
        """The content without case, spacing and order of choices: equal ones are the same."""
        return _fold(self.text), tuple(sorted(_fold(choice) for choice in self.choices))


class RowError(ValueError):
    """Faults of one row, each as ``field: what is wrong, what is allowed``."""

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults


def question_from_row(row: Row, default_identifier: str) -> Question:
    """Reads ``question_stem`` or ``question``, ``choices{text, label}`` and ``answerKey``.

    Args:
        row: the foreign row.
        default_identifier: taken where the row has no ``id``.

    Raises:
        RowError: with every fault of the row.
    """
    faults: list[str] = []
    field = "question_stem" if "question_stem" in row else "question"
    text = row.get(field)
    if not _is_text(text):
        faults.append(f"{field}: must be a non-empty text, got {_shown(text)}")
    texts, labels = _choices(row.get("choices"), faults)
    answer = row.get("answerKey")
    if labels and answer not in labels:
        allowed = ", ".join(labels)
        faults.append(f"answerKey: must be one of {allowed}, got {_shown(answer)}")
    if faults:
        raise RowError(*faults)
    return Question(
        identifier=str(row.get("id") or default_identifier),
        text=" ".join(str(text).split()),
        choices=tuple(" ".join(choice.split()) for choice in texts),
        answer=labels.index(str(answer)),
    )


ReadRow: TypeAlias = Callable[[Row, str], Question]


def _choices(value: object, faults: list[str]) -> tuple[list[str], list[str]]:
    """Texts and labels of a well-formed ``choices``; else adds what is wrong to ``faults``."""
    if not isinstance(value, Mapping) or not {"text", "label"} <= value.keys():
        faults.append(f"choices: must be an object with text and label, got {_shown(value)}")
        return [], []
    texts, labels = value["text"], value["label"]
    if not _all_texts(texts) or not _all_texts(labels):
        faults.append("choices: text and label must be lists of non-empty texts")
        return [], []
    if not MIN_CHOICES <= len(texts) <= MAX_CHOICES:
        faults.append(f"choices: {MIN_CHOICES} to {MAX_CHOICES} are allowed, got {len(texts)}")
    if len(labels) != len(texts) or len(set(labels)) != len(labels):
        faults.append(f"choices.label: one different label per text, got {_shown(labels)}")
        return [], []
    return list(texts), list(labels)


def read_questions(
    path: Path, faults: list[str], read: ReadRow = question_from_row
) -> list[Question]:
    """Reads a JSON-lines file whole; adds every fault as ``file:line: field: what``.

    Blank lines, a byte-order mark and CRLF line ends are taken as they come.

    Args:
        path: the file.
        faults: what is wrong is added there.
        read: turns a row and the identifier it has by default into a question.
    """
    found: list[tuple[int, Question]] = []
    for number, line in _lines(path, faults):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise RowError(f"row: must be an object, got {_shown(row)}")
            found.append((number, read(row, f"{path.stem}-{number}")))
        except RowError as error:
            faults.extend(f"{path.name}:{number}: {fault}" for fault in error.faults)
        except (ValueError, RecursionError) as error:  # cut short, endless digits, nested too deep
            reason = getattr(error, "msg", None) or error
            faults.append(f"{path.name}:{number}: row: is no complete JSON ({reason})")
    return _whole(path.name, found, faults)


def _lines(path: Path, faults: list[str]) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if len(raw) > MAX_LINE_BYTES:
            faults.append(f"{path.name}:{number}: row: {len(raw)} bytes, allowed {MAX_LINE_BYTES}")
            continue
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            faults.append(f"{path.name}:{number}: row: is not UTF-8 ({error.reason})")
            continue
        if line:
            yield number, line


def questions_from_rows(name: str, rows: Iterable[Row], faults: list[str]) -> list[Question]:
    """Checks rows that come from elsewhere than a file; rows count from 1."""
    found: list[tuple[int, Question]] = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append((number, question_from_row(row, f"{name}-{number}")))
        except RowError as error:
            faults.extend(f"{name}:{number}: {fault}" for fault in error.faults)
    return _whole(name, found, faults)


def _whole(name: str, found: list[tuple[int, Question]], faults: list[str]) -> list[Question]:
    """The questions; adds what is wrong with them as a whole to ``faults``."""
    first: dict[str, int] = {}
    for number, question in found:
        earlier = first.setdefault(question.identifier, number)
        if earlier != number:
            shown = _shown(question.identifier)
            faults.append(f"{name}:{number}: id: {shown} stands on line {earlier} too")
    if not found and not any(fault.startswith(f"{name}:") for fault in faults):
        faults.append(f"{name}: holds no question")
    return [question for _, question in found]


def _all_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_is_text(item) for item in value)


def _is_text(value: object) -> bool:
    """Whether it is more than blanks and of whole characters: JSON can escape half a surrogate."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
