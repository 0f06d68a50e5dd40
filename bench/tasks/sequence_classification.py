"""Sequence classification: which label a text, or a pair of texts, has.

Each text or pair is one sequence, and a linear map scores every label of the training data.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import DataError, Faults
from bench.rows import fold, shown
from bench.task import (
    GUESSING,
    NO_COLUMNS,
    Asked,
    AutoClass,
    Baseline,
    Columns,
    Reading,
    Row,
    Segments,
    Task,
    Words,
)
from bench.texts import (
    USUAL,
    USUAL_LABELS,
    AskingReader,
    LabelledText,
    Reader,
    called,
    column,
    some,
)

if TYPE_CHECKING:
    from bench.batches import Batch

MOST_LABELS = 1000
"""More are no labels but numbers, names or texts of another column."""

LENGTHS = (4, 9, 17, 30)
"""Tokens of each made-up text."""


@dataclass(frozen=True, kw_only=True)
class SequenceClassification(Task[LabelledText]):
    """See the module.

    Attributes:
        labels: names of the labels of the training data, in the order of the logits.
        pairs: whether each text has a second one.
    """

    name: ClassVar[str] = "sequence_classification"
    words: ClassVar[Words] = Words(
        example="text",
        examples="texts",
        purpose="Labels texts: every label gets a score, the highest is the answer.",
        answers="share of each label",
    )
    reads: ClassVar[str] = "a text, a label and, for pairs, a second text"
    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy", "macro_f1", "matthews", "calibration_error"
    )  # fmt: skip
    auto_class: ClassVar[AutoClass | None] = AutoClass(
        name="AutoModelForSequenceClassification", grouped=False
    )

    labels: tuple[str, ...] = ()
    pairs: bool = False

    @classmethod
    def recognises(cls, fields: Collection[str], columns: Columns) -> bool:
        """Rows with a text and a label of usual names, or any if a column was named."""
        usual = called(tuple(USUAL), fields) and called(USUAL_LABELS, fields)
        return columns != NO_COLUMNS or usual is not None

    @classmethod
    def reading(cls, fields: Collection[str], columns: Columns) -> Reading[LabelledText]:
        """Columns as they were named, else by their usual names, which is told."""
        faults = Faults()
        text = column("text", columns.text, tuple(USUAL), fields, faults)
        label = column("label", columns.label, USUAL_LABELS, fields, faults)
        pair = columns.pair or called((USUAL.get((text or "").casefold()),), fields)
        if columns.pair is not None:
            column("pair", columns.pair, (), fields, faults)
        named = [name for name in (text, pair, label) if name is not None]
        if len(set(named)) < len(named):
            faults.add(f"text, pair and label must be different columns, got {', '.join(named)}")
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
        columns = Columns(text=text, pair=pair, label=label)
        read = Reader(text=text, pair=pair, label=label)
        return Reading(read=read, columns=columns, notices=notices)

    @classmethod
    def settled(cls, splits: Mapping[str, Sequence[LabelledText]]) -> SequenceClassification:
        """The labels are those of the training texts, numbers by size, others by letter."""
        labels = sorted({example.label for example in splits["train"]}, key=_place)
        if not 2 <= len(labels) <= MOST_LABELS:
            raise DataError(
                f"train: 2 to {MOST_LABELS} different labels are needed, got {len(labels)}"
                f" ({some(labels)})"
            )
        known, faults = set(labels), []
        for split, examples in splits.items():
            unseen = Counter(e.label for e in examples if e.label not in known)
            faults += [
                f"{split}: label {shown(label)} of {count} texts is not among those of the"
                f" training texts ({some(labels)})"
                for label, count in sorted(unseen.items())
            ]
        if faults:
            raise DataError(*faults)
        return cls(labels=tuple(labels), pairs=splits["train"][0].pair is not None)

    def asking(
        self, fields: Collection[str], columns: Columns
    ) -> Callable[[Row, str], Asked[LabelledText]]:
        """The label may be missing, empty or -1; an ``id`` is kept."""
        faults = Faults()
        text = column("text", columns.text or "text", (), fields, faults)
        pair = None
        if self.pairs:
            pair = column("pair", columns.pair or "text_pair", (), fields, faults)
        faults.raise_any(DataError)
        assert text is not None
        return AskingReader(text=text, pair=pair, label=columns.label or "label", known=self.labels)

    def made_up(self, text: Callable[[int], str]) -> Sequence[LabelledText]:
        """Of unequal length."""
        return [
            LabelledText(
                identifier=f"made-up-{number}",
                text=text(length),
                pair=text(length // 2) if self.pairs else None,
                label=self.labels[0],
            )
            for number, length in enumerate(LENGTHS)
        ]

    def specimen(self) -> LabelledText:
        """An opinion, and what may follow from it."""
        return LabelledText(
            identifier="specimen",
            text="The film was worth every minute.",
            pair="Someone liked the film." if self.pairs else None,
            label=self.labels[0],
        )

    def remarks(self, splits: Mapping[str, Sequence[LabelledText]]) -> Iterator[str]:
        """Labels that are rare or differ in case alone, and texts with several labels."""
        alike = defaultdict[str, list[str]](list)
        for label in self.labels:
            alike[fold(label)].append(label)
        for labels in alike.values():
            if len(labels) > 1:
                yield f"labels {some(labels)} differ in case alone and are learnt as several"
        for split, examples in splits.items():
            counts = Counter(example.label for example in examples)
            rare = [label for label in self.labels if counts[label] < 2]
            if rare:
                yield f"fewer than 2 {split} texts have the label {some(rare)}"
            said = defaultdict[Hashable, set[str]](set)
            for example in examples:
                said[example.normalised].add(example.label)
            torn = sum(len(labels) > 1 for labels in said.values())
            if torn:
                yield f"{torn} {split} texts stand there with different labels"

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


def _place(label: str) -> tuple[bool, int, str]:
    number = label.isdecimal()
    return (not number, int(label) if number else 0, label)
