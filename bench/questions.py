"""One multiple-choice question, and the check that turns foreign rows into questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.rows import RowError, fold, is_text, shown
from bench.task import Example, Row

MIN_CHOICES, MAX_CHOICES = 2, 8
ANSWER = "answerKey"


@dataclass(frozen=True, kw_only=True)
class Question(Example):
    """A question with its choices.

    Attributes:
        text: the question.
        choices: two to eight texts.
        answer: index of the right one in ``choices``.
    """

    text: str
    choices: tuple[str, ...]
    answer: int

    @property
    def content(self) -> Sequence[object]:
        """Question, choices and right answer."""
        return [self.text, *self.choices, self.answer]

    @property
    def normalised(self) -> tuple[str, tuple[str, ...]]:
        """The content without case, spacing and order of choices: equal ones are the same."""
        return fold(self.text), tuple(sorted(fold(choice) for choice in self.choices))


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
    if not is_text(text):
        faults.append(f"{field}: must be a non-empty text, got {shown(text)}")
    texts, labels = _choices(row.get("choices"), faults)
    answer = row.get(ANSWER)
    if labels and answer not in labels:
        allowed = ", ".join(labels)
        faults.append(f"{ANSWER}: must be one of {allowed}, got {shown(answer)}")
    if faults:
        raise RowError(*faults)
    return Question(
        identifier=str(row.get("id") or default_identifier),
        text=" ".join(str(text).split()),
        choices=tuple(" ".join(choice.split()) for choice in texts),
        answer=labels.index(str(answer)),
    )


def _choices(value: object, faults: list[str]) -> tuple[list[str], list[str]]:
    """Texts and labels of a well-formed ``choices``; else adds what is wrong to ``faults``."""
    if not isinstance(value, Mapping) or not {"text", "label"} <= value.keys():
        faults.append(f"choices: must be an object with text and label, got {shown(value)}")
        return [], []
    texts, labels = value["text"], value["label"]
    if not _all_texts(texts) or not _all_texts(labels):
        faults.append("choices: text and label must be lists of non-empty texts")
        return [], []
    if not MIN_CHOICES <= len(texts) <= MAX_CHOICES:
        faults.append(f"choices: {MIN_CHOICES} to {MAX_CHOICES} are allowed, got {len(texts)}")
    if len(labels) != len(texts) or len(set(labels)) != len(labels):
        faults.append(f"choices.label: one different label per text, got {shown(labels)}")
        return [], []
    return list(texts), list(labels)


def _all_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(is_text(item) for item in value)
