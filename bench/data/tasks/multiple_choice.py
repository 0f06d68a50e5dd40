"""Multiple choice: which of a question's choices is right; how rows become questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.rows import RowError, fold, is_text, shown
from bench.errors import DataError
from bench.task import (
    GUESSING,
    NO_COLUMNS,
    Asked,
    AutoClass,
    Baseline,
    Columns,
    Example,
    Reading,
    Row,
    Segments,
    Task,
    Words,
)

if TYPE_CHECKING:
    from bench.task import Batch

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


FIELDS = frozenset({"question_stem", "choices", "answerKey"})
"""Any of them tells a question."""


SHAPES = ((4, (2, 3)), (9, (1, 4, 2)), (17, (3, 3, 3, 3)), (30, (6, 2)))
"""Tokens of each made-up question, and of each of its choices."""


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Task[Question]):
    """See the module."""

    name: ClassVar[str] = "multiple_choice"
    words: ClassVar[Words] = Words(
        example="question",
        examples="questions",
        purpose="Answers multiple-choice questions: each choice is scored with its question, the"
        " highest score is the answer.",
        answers="right choice is first, second, …",
    )
    reads: ClassVar[str] = "question_stem or question, choices and answerKey"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "calibration_error")
    auto_class: ClassVar[AutoClass | None] = AutoClass(
        name="AutoModelForMultipleChoice", grouped=True
    )

    @classmethod
    def recognises(cls, fields: Collection[str], columns: Columns) -> bool:
        """Rows with choices; none of the columns can be named."""
        return columns == NO_COLUMNS and not FIELDS.isdisjoint(fields)

    @classmethod
    def reading(cls, fields: Collection[str], columns: Columns) -> Reading[Question]:
        """Fields have fixed names, see ``bench.data.tasks.multiple_choice``."""
        cls._refuse(columns)
        return Reading(read=question_from_row)

    @classmethod
    def _refuse(cls, columns: Columns) -> None:
        if columns != NO_COLUMNS:
            raise DataError(
                f"task {cls.name} reads {cls.reads}; leave --text-column, --pair-column and"
                " --label-column out"
            )

    @classmethod
    def settled(cls, splits: Mapping[str, Sequence[Question]]) -> MultipleChoice:
        """Nothing of it depends on the data."""
        return cls()

    def remarks(self, splits: Mapping[str, Sequence[Question]]) -> Iterator[str]:
        """Questions that offer one choice twice."""
        for split, questions in splits.items():
            repeated = sum(len(set(q.normalised[1])) < len(q.choices) for q in questions)
            if repeated:
                yield f"{repeated} {split} questions offer one choice twice"

    def asking(
        self, fields: Collection[str], columns: Columns
    ) -> Callable[[Row, str], Asked[Question]]:
        """``answerKey`` may be missing or empty."""
        self._refuse(columns)
        return _asked

    def made_up(self, text: Callable[[int], str]) -> Sequence[Question]:
        """Of unequal choices, in number too."""
        return [
            Question(
                identifier=f"made-up-{number}",
                text=text(length),
                choices=tuple(map(text, sizes)),
                answer=0,
            )
            for number, (length, sizes) in enumerate(SHAPES)
        ]

    def specimen(self) -> Question:
        """Two choices."""
        return Question(
            identifier="specimen",
            text="Where does the sun rise?",
            choices=("in the east", "in the west"),
            answer=0,
        )

    def answer(self, example: Question) -> int:
        """The place of the right choice."""
        return example.answer

    def segments(self, example: Question) -> Sequence[Segments]:
        """The question with each choice."""
        return [(example.text, choice) for choice in example.choices]

    def described(self, example: Question) -> tuple[str, Sequence[str]]:
        """The question and its choices."""
        return example.text, example.choices

    def head(self, width: int) -> nn.Module:
        """One score per sequence."""
        return nn.Linear(width, 1)

    def logits(self, scores: Tensor, batch: Batch) -> Tensor:
        """Scores by question and place of the choice; ``-inf`` where there is no choice."""
        shape = (len(batch.answers), batch.widest)
        empty = torch.full(shape, -torch.inf, device=scores.device)
        return empty.index_put((batch.example, batch.place), scores.squeeze(-1))

    def loss(self, logits: Tensor, answers: Tensor) -> Tensor:
        """Cross-entropy over the choices of each question."""
        return F.cross_entropy(logits, answers, reduction="sum")

    def baselines(
        self, train: Sequence[Question], scored: Sequence[Question]
    ) -> tuple[Baseline, ...]:
        """Guessing, the usual place, and the choice with most characters, the first of equals."""
        usual = Counter(question.answer for question in train).most_common(1)[0][0]
        blind = np.zeros((len(scored), MAX_CHOICES))
        longest = np.zeros_like(blind)
        for row, question in enumerate(scored):
            blind[row, : len(question.choices)] = 1 / len(question.choices)
            lengths = [len(choice) for choice in question.choices]
            longest[row, lengths.index(max(lengths))] = 1
        constant = np.zeros_like(blind)
        constant[:, usual] = 1
        return (
            Baseline(name=GUESSING, said="guessing", probabilities=blind),
            Baseline(
                name="constant",
                said="the position that is right most often in training",
                probabilities=constant,
            ),
            Baseline(name="longest", said="the longest choice", probabilities=longest),
        )


def _asked(row: Row, identifier: str) -> Asked[Question]:
    """A row without an answer is read as if its first choice were right."""
    answered = row.get(ANSWER) not in (None, "")
    labels = _labels(row)
    known = row if answered or not labels else {**row, ANSWER: labels[0]}
    question = question_from_row(known, identifier)
    return Asked(example=question, labels=labels, answered=answered)


def _labels(row: Row) -> tuple[str, ...]:
    """What the choices of a row are called; empty where it does not say."""
    choices = row.get("choices")
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    return tuple(map(str, labels)) if isinstance(labels, list | tuple) else ()
