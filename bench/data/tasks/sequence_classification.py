"""Sequence classification: which label a text, or a pair of texts, has; how rows become texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.rows import RowError, fold, is_text, shown
from bench.errors import DataError, Faults
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
class Reader:
    """Reads rows by their columns."""

    text: str
    pair: str | None
    label: str

    def __call__(self, row: Row, identifier: str) -> LabelledText:
        """See ``bench.task.Reading``."""
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


@dataclass(frozen=True, kw_only=True)
class AskingReader:
    """Reads rows whose label may be missing, and must be one of those that are known."""

    text: str
    pair: str | None
    label: str
    known: tuple[str, ...]

    def __call__(self, row: Row, identifier: str) -> Asked[LabelledText]:
        """See ``bench.task.Task.asking``."""
        label, faults = _label(row.get(self.label)), list[str]()
        if label is not None and label not in self.known:
            faults.append(f"{self.label}: must be one of {some(self.known)}, got {shown(label)}")
        read = Reader(text=self.text, pair=self.pair, label=self.label)
        whole = {**row, self.label: self.known[0]} if label is None else row
        try:
            example = read(whole, str(row.get("id") or identifier))
        except RowError as error:
            raise RowError(*error.faults, *faults) from None
        if faults:
            raise RowError(*faults)
        return Asked(example=example, labels=self.known, answered=label is not None)


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


def called(names: Sequence[str | None], fields: Collection[str]) -> str | None:
    """The field that has the first of these names that any has, in capitals or not."""
    known = {str(field).casefold(): field for field in reversed(list(fields))}
    return next((known[name] for name in names if name in known), None)


def column(
    role: str, asked: str | None, usual: Sequence[str], fields: Collection[str], faults: Faults
) -> str | None:
    """The column that was named, or the first of the usual ones that is there."""
    found = asked if asked is not None else called(usual, fields)
    if found is None or found not in fields:
        known = ", ".join(map(str, fields))
        said = f"--{role}-column" + (f" {asked}" if asked is not None else "")
        why = "no such column" if asked is not None else f"needed, none is called {usual[0]}"
        faults.add(f"{said}: {why}; the data have {known}")
        return None
    return found


def some(labels: Sequence[str]) -> str:
    """The first labels, and how many more there are."""
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(map(shown, labels[:SHOWN])) + more


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
