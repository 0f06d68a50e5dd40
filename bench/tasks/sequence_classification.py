"""Sequence classification: which label a text, or a pair of texts, has.

Each text or pair is one sequence, and a linear map scores every label of the training data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import DataError, Faults
from bench.rows import RowError, fold, is_text, shown
from bench.task import (
    GUESSING,
    NO_COLUMNS,
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
    from bench.batches import Batch

USUAL = {
    "text": "text_pair",
    "sentence": None,
    "sentence1": "sentence2",
    "premise": "hypothesis",
    "question1": "question2",
    "text1": "text2",
    "review": None,
    "content": None,
}
"""Usual names of the text, each with that of a second text beside it."""

USUAL_LABELS = ("label", "labels", "class", "category", "target")

MOST_LABELS = 1000
"""More are no labels but numbers, names or texts of another column."""

SHOWN = 5
"""Labels in an error."""


@dataclass(frozen=True, kw_only=True)
class LabelledText(Example):
    """A text or a pair of texts, with its label.

    Attributes:
        text: the first or only text.
        pair: the second; ``None`` where there is one only.
        label: name of the right label.
    """

    text: str
    pair: str | None
    label: str

    @property
    def content(self) -> Sequence[object]:
        """Texts and label."""
        return [self.text, self.pair, self.label]

    @property
    def normalised(self) -> Hashable:
        """The texts without case and spacing."""
        return fold(self.text), self.pair and fold(self.pair)

    @property
    def stratum(self) -> str:
        """The label."""
        return self.label


@dataclass(frozen=True, kw_only=True)
class SequenceClassification(Task[LabelledText]):
    """See the module.

    Attributes:
        labels: names of the labels of the training data, in the order of the logits.
    """

    name: ClassVar[str] = "sequence_classification"
    words: ClassVar[Words] = Words(example="text", examples="texts", answers="share of each label")
    reads: ClassVar[str] = "a text, a label and, for pairs, a second text"
    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy", "macro_f1", "matthews", "calibration_error"
    )  # fmt: skip

    labels: tuple[str, ...] = ()

    @classmethod
    def recognises(cls, fields: Collection[str], columns: Columns) -> bool:
        """Rows with a text and a label of usual names, or any if a column was named."""
        usual = not set(USUAL).isdisjoint(fields) and not set(USUAL_LABELS).isdisjoint(fields)
        return columns != NO_COLUMNS or usual

    @classmethod
    def reading(cls, fields: Collection[str], columns: Columns) -> Reading[LabelledText]:
        """Columns as they were named, else by their usual names, which is told."""
        faults = Faults()
        text = _column("text", columns.text, tuple(USUAL), fields, faults)
        label = _column("label", columns.label, USUAL_LABELS, fields, faults)
        beside = (USUAL.get(text or ""),) if columns.pair is None else ()
        pair = columns.pair or next((name for name in beside if name in fields), None)
        if columns.pair is not None:
            _column("pair", columns.pair, (), fields, faults)
        faults.raise_any(DataError)
        assert text is not None
        assert label is not None
        found = {"text": text, "pair": pair, "label": label}
        asked = {"text": columns.text, "pair": columns.pair, "label": columns.label}
        guessed = [
            f"--{role}-column {name}"
            for role, name in found.items()
            if name is not None and asked[role] is None and name not in {"text", "label"}
        ]
        notices = (f"read as {' '.join(guessed)}, by their names",) if guessed else ()
        return Reading(read=_Reader(text=text, pair=pair, label=label), notices=notices)

    @classmethod
    def settled(cls, splits: Mapping[str, Sequence[LabelledText]]) -> SequenceClassification:
        """The labels are those of the training texts, numbers by size, others by letter."""
        labels = sorted({example.label for example in splits["train"]}, key=_place)
        if not 2 <= len(labels) <= MOST_LABELS:
            raise DataError(
                f"train: 2 to {MOST_LABELS} different labels are needed, got {len(labels)}"
                f" ({_some(labels)})"
            )
        known, faults = set(labels), []
        for split, examples in splits.items():
            unseen = Counter(e.label for e in examples if e.label not in known)
            faults += [
                f"{split}: label {shown(label)} of {count} texts is not among those of the"
                f" training texts ({_some(labels)})"
                for label, count in sorted(unseen.items())
            ]
        if faults:
            raise DataError(*faults)
        return cls(labels=tuple(labels))

    @classmethod
    def of_labels(cls, labels: tuple[str, ...]) -> SequenceClassification:
        """The task of these labels."""
        return cls(labels=labels)

    def remarks(self, splits: Mapping[str, Sequence[LabelledText]]) -> Iterator[str]:
        """Labels that have fewer than two texts in a split."""
        for split, examples in splits.items():
            counts = Counter(example.label for example in examples)
            rare = [label for label in self.labels if counts[label] < 2]
            if rare:
                yield f"fewer than 2 {split} texts have the label {_some(rare)}"

    def answer(self, example: LabelledText) -> int:
        """The place of its label."""
        return self.labels.index(example.label)

    def segments(self, example: LabelledText) -> Sequence[Segments]:
        """The text, or both of them, as one sequence."""
        return [(example.text,) if example.pair is None else (example.text, example.pair)]

    def described(self, example: LabelledText) -> tuple[str, Sequence[str]]:
        """The text, or both of them, and all labels."""
        return example.text if example.pair is None else f"{example.text} / {example.pair}", (
            self.labels
        )

    def head(self, width: int) -> nn.Module:
        """A score per label."""
        return nn.Linear(width, len(self.labels))

    def logits(self, scores: Tensor, batch: Batch) -> Tensor:
        """The scores: each example is one sequence."""
        return scores

    def loss(self, logits: Tensor, answers: Tensor) -> Tensor:
        """Cross-entropy over the labels."""
        return F.cross_entropy(logits, answers, reduction="sum")

    def baselines(
        self, train: Sequence[LabelledText], scored: Sequence[LabelledText]
    ) -> tuple[Baseline, ...]:
        """Guessing each label as often as training has it, and its most frequent label."""
        answers = [self.answer(example) for example in train]
        counts = np.bincount(answers, minlength=len(self.labels))
        prior = np.tile(counts / counts.sum(), (len(scored), 1))
        majority = np.zeros_like(prior)
        majority[:, counts.argmax()] = 1
        return (
            Baseline(
                name=GUESSING,
                said="guessing labels as frequent as in training",
                probabilities=prior,
            ),
            Baseline(
                name="majority",
                said="the label that is most frequent in training",
                probabilities=majority,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads rows by their columns."""

    text: str
    pair: str | None
    label: str

    def __call__(self, row: Row, identifier: str) -> LabelledText:
        faults: list[str] = []
        texts = [_text(row, name, faults) for name in (self.text, self.pair) if name is not None]
        label = _label(row.get(self.label))
        if label is None:
            value = shown(row.get(self.label))
            faults.append(f"{self.label}: must be a name or a whole number ≥ 0, got {value}")
        if faults or label is None:
            raise RowError(*faults)
        pair = texts[1] if self.pair is not None else None
        return LabelledText(identifier=identifier, text=texts[0], pair=pair, label=label)


def _text(row: Row, name: str, faults: list[str]) -> str:
    value = row.get(name)
    if not is_text(value):
        faults.append(f"{name}: must be a non-empty text, got {shown(value)}")
    return " ".join(str(value).split())


def _label(value: object) -> str | None:
    """A label's name; public test splits say -1 where labels are kept secret."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if value >= 0 else None
    return " ".join(str(value).split()) if is_text(value) and str(value).strip() != "-1" else None


def _column(
    role: str, asked: str | None, usual: Sequence[str], fields: Collection[str], faults: Faults
) -> str | None:
    """The column that was named, or the first of the usual ones that is there."""
    found = asked if asked is not None else next((name for name in usual if name in fields), None)
    if found is None or found not in fields:
        known = ", ".join(map(str, fields))
        said = f"--{role}-column" + (f" {asked}" if asked is not None else "")
        why = "no such column" if asked is not None else f"needed, none is called {usual[0]}"
        faults.add(f"{said}: {why}; the data have {known}")
        return None
    return found


def _place(label: str) -> tuple[bool, int, str]:
    number = label.isdecimal()
    return (not number, int(label) if number else 0, label)


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(map(shown, labels[:SHOWN])) + more
