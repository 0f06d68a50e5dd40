"""Answers to rows: one each, how good they are, and the files they are written to."""

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
from bench.export.scores import probabilities
from bench.metrics import Outcome, figure
from bench.task import AnyTask, Asked, Example


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one row.

    Attributes:
        identifier: of the row.
        prediction: what the given answer is called.
        probabilities: of each answer, by what it is called.
        given: place of the given answer.
        right: place of the right one; ``None`` where that was not given.
    """

    identifier: str
    prediction: str
    probabilities: Mapping[str, float]
    given: int
    right: int | None

    @property
    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "id": self.identifier,
            "prediction": self.prediction,
            "probabilities": dict(self.probabilities),
        }


def answers_of(
    task: AnyTask, asked: Sequence[Asked[Example]], logits: npt.NDArray[np.float32]
) -> list[Answer]:
    """The answer to each row: the first one with the highest logit.

    Args:
        task: what the rows are of.
        asked: the rows.
        logits: ``(rows, answers)``.
    """
    shares = probabilities(logits)
    chosen = logits.argmax(axis=1)
    return [
        Answer(
            identifier=row.example.identifier,
            prediction=row.labels[place],
            probabilities={
                label: float(share)
                for label, share in zip(row.labels, shares[number], strict=False)
            },
            given=int(place),
            right=task.answer(row.example) if row.answered else None,
        )
        for number, (row, place) in enumerate(zip(asked, chosen, strict=True))
    ]


def scores_of(task: AnyTask, answers: Sequence[Answer]) -> tuple[dict[str, float], int]:
    """Every metric of the task over the rows whose right answer was given, and how many those are.

    Without such rows there is no metric.
    """
    known = [
        (answer.given, answer.right, max(answer.probabilities.values()))
        for answer in answers
        if answer.right is not None
    ]
    if not known:
        return {}, 0
    outcome = Outcome.of(*zip(*known, strict=True))
    return {name: figure(name, outcome) for name in task.metrics}, len(known)


def json_lines(answers: Sequence[Answer]) -> str:
    """One JSON object per line."""
    return "".join(f"{json.dumps(answer.document)}\n" for answer in answers)


def csv_table(answers: Sequence[Answer]) -> str:
    """A table with a column per name of an answer, empty where a row has none of that name."""
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
