"""Answers to rows: one per question, and the files they are written to."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.export.rows import Asked
from bench.export.scores import probabilities


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one row.

    Attributes:
        identifier: of the row.
        prediction: what the chosen choice is called.
        probabilities: of each choice, by what it is called.
        right: whether it is the right one; ``None`` where that was not given.
    """

    identifier: str
    prediction: str
    probabilities: Mapping[str, float]
    right: bool | None

    @property
    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "id": self.identifier,
            "prediction": self.prediction,
            "probabilities": dict(self.probabilities),
        }


def answers_of(asked: Sequence[Asked], logits: npt.NDArray[np.float32]) -> list[Answer]:
    """The answer to each row: the first choice with the highest logit.

    Args:
        asked: the rows.
        logits: ``(rows, widest)``.
    """
    shares = probabilities(logits)
    chosen = logits.argmax(axis=1)
    return [
        Answer(
            identifier=row.question.identifier,
            prediction=row.labels[place],
            probabilities={
                label: float(share)
                for label, share in zip(row.labels, shares[number], strict=False)
            },
            right=bool(place == row.question.answer) if row.answered else None,
        )
        for number, (row, place) in enumerate(zip(asked, chosen, strict=True))
    ]


def accuracy_of(answers: Sequence[Answer]) -> tuple[float | None, int]:
    """Share of right answers among rows whose right choice was given, and how many those are."""
    known = [answer.right for answer in answers if answer.right is not None]
    return (sum(known) / len(known) if known else None), len(known)


def json_lines(answers: Sequence[Answer]) -> str:
    """One JSON object per line."""
    return "".join(f"{json.dumps(answer.document)}\n" for answer in answers)


def csv_table(answers: Sequence[Answer]) -> str:
    """A table with a column per name of a choice, empty where a row has none of that name."""
    labels = list(dict.fromkeys(label for each in answers for label in each.probabilities))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "prediction", *(f"probability_{label}" for label in labels)])
    for answer in answers:
        shares = [answer.probabilities.get(label, "") for label in labels]
        writer.writerow([answer.identifier, answer.prediction, *shares])
    return text.getvalue()


Write = Callable[[Sequence[Answer]], str]
WRITERS: dict[str, Write] = {".csv": csv_table, ".jsonl": json_lines}
"""How answers are written, by how the name of the file ends."""


def writer_for(path: Path) -> Write:
    """How answers are written to a file.

    Raises:
        InputError: the name does not tell.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"--out {path}: must end in {' or '.join(WRITERS)}")
    return writer
