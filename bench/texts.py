"""One text or pair of texts with its label, and the check that turns foreign rows into them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from bench.errors import Faults
from bench.rows import RowError, fold, is_text, shown
from bench.task import Asked, Example, Row

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
