"""What the record of a study says of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.metrics import ACCURACY
from bench.record import Part


class TaskWords(Part):
    """How reports speak of a task, see ``bench.task.Words``."""

    example: str
    examples: str


class BaselineScore(Part):
    """What can be had without a model, see ``bench.task.Baseline``.

    Attributes:
        name: of the baseline.
        said: the same in a sentence.
        scores: every metric of the task that can be told of it, on validation, by name.
    """

    name: str
    said: str
    scores: dict[str, float]


EARLIER = {
    "chance": ("random", "guessing"),
    "constant": ("constant", "the position that is right most often in training"),
    "longest": ("longest", "the longest choice"),
}
"""Baseline by the field that it was in earlier records."""


def with_baselines(content: Any) -> Any:
    """The content of a record of a study, also of times when all studies were of questions.

    Baselines were three fields then.
    """
    if not isinstance(content, Mapping) or EARLIER.keys().isdisjoint(content):
        return content
    kept = {name: value for name, value in content.items() if name not in EARLIER}
    told = [
        {"name": name, "said": said, "scores": {ACCURACY: content.get(field)}}
        for field, (name, said) in EARLIER.items()
    ]
    return {**kept, "baselines": told}
