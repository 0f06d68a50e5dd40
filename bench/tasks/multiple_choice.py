"""Multiple choice: which of a question's choices is right.

Each choice is read with its question as one sequence, and one linear map scores all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import DataError
from bench.questions import MAX_CHOICES, Question, question_from_row
from bench.task import GUESSING, NO_COLUMNS, Baseline, Columns, Reading, Segments, Task, Words

if TYPE_CHECKING:
    from bench.batches import Batch

FIELDS = frozenset({"question_stem", "choices", "answerKey"})
"""Any of them tells a question."""


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Task[Question]):
    """See the module."""

    name: ClassVar[str] = "multiple_choice"
    words: ClassVar[Words] = Words(
        example="question", examples="questions", answers="right choice is first, second, …"
    )
    reads: ClassVar[str] = "question_stem or question, choices and answerKey"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "calibration_error")

    @classmethod
    def recognises(cls, fields: Collection[str], columns: Columns) -> bool:
        """Rows with choices; none of the columns can be named."""
        return columns == NO_COLUMNS and not FIELDS.isdisjoint(fields)

    @classmethod
    def reading(cls, fields: Collection[str], columns: Columns) -> Reading[Question]:
        """Fields have fixed names, see ``bench.questions``."""
        if columns != NO_COLUMNS:
            raise DataError(
                f"task {cls.name} reads {cls.reads}; leave --text-column, --pair-column and"
                " --label-column out"
            )
        return Reading(read=question_from_row)

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
