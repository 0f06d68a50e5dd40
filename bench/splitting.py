"""Cut validation and test examples off the training ones where a dataset has none of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from bench.spec import content_hash
from bench.task import Example

E = TypeVar("E", bound=Example)

TENTHS = {"validation": 3, "test": 7}
"""Which of every ten examples goes where; the others stay."""

FEWEST = 20
"""Examples that can be cut: fewer would leave a split of one or none."""


def cut(examples: Sequence[E], missing: Sequence[str]) -> dict[str, list[E]]:
    """A tenth of the examples for each missing split, the others for training.

    Every label is cut in proportion, as far as it goes, and keeps at least one training example.
    Which ones go depends on their content alone, not on their order or on a seed. Examples that
    ask the same go together.

    Args:
        examples: at least ``FEWEST``.
        missing: ``validation``, ``test`` or both.
    """
    groups: dict[object, list[E]] = {}
    for example in examples:
        groups.setdefault(example.normalised, []).append(example)
    order = sorted(groups.values(), key=lambda group: (group[0].stratum, _draw(group[0])))
    homes: dict[object, str] = {}
    place, last = 0, None
    for group in order:
        first = group[0].stratum != last
        last = group[0].stratum
        home = next((split for split in missing if TENTHS[split] == place % 10), "train")
        homes[group[0].normalised] = "train" if first else home
        place += not first
    splits: dict[str, list[E]] = {split: [] for split in ("train", *missing)}
    for example in examples:
        splits[homes[example.normalised]].append(example)
    return splits


def _draw(example: Example) -> str:
    return content_hash(repr(example.normalised))
