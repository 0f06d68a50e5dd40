"""Batches: padded once, on the device once, kept for the trials that ask for the same again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from bench.data.tokens import Integers, TokenSplit, evaluation_order, training_order
from bench.task import Batch, Inputs

KEPT_BYTES = 1 << 30
"""Of collated batches per split; what is larger is collated again for every trial."""

BYTES_PER_TOKEN = 24
"""Token, mask and type, each a 64-bit integer, as models index with them."""

STRIDE = 2
"""Batches are padded to multiples of so many tokens. For every shape of a product the matrix
library makes code of its own and keeps it, so fewer shapes keep a worker small; multiples of four
would compute 5 % more tokens."""


def collate(split: TokenSplit, rows: Integers) -> Batch:
    """Pads some examples of a split into a batch, on the right.

    Args:
        split: what the examples are taken from.
        rows: which.
    """
    counts = split.first[rows + 1] - split.first[rows]
    sequences = np.concatenate([np.arange(split.first[r], split.first[r + 1]) for r in rows])
    example = np.repeat(np.arange(len(rows)), counts)
    place = np.concatenate([np.arange(count) for count in counts])
    return Batch(
        inputs=_padded(split, sequences),
        sequences=torch.from_numpy(sequences.astype(np.int64)),
        example=torch.from_numpy(example),
        place=torch.from_numpy(place),
        answers=torch.from_numpy(split.answers[rows].astype(np.int64)),
        rows=torch.from_numpy(rows.astype(np.int64)),
        widest=int(counts.max()),
    )


def _padded(split: TokenSplit, sequences: Integers) -> Inputs:
    all_lengths = np.diff(split.starts)
    lengths = all_lengths[sequences]
    longest = int(lengths.max())
    columns = np.arange(min(longest + -longest % STRIDE, int(all_lengths.max())))
    inside = columns < lengths[:, None]
    places = (split.starts[sequences, None] + columns)[inside]

    def table(values: Integers) -> torch.Tensor:
        filled = np.zeros(inside.shape, dtype=np.int64)
        filled[inside] = values[places]
        return torch.from_numpy(filled)

    inputs = {"input_ids": table(split.tokens), "attention_mask": torch.from_numpy(inside).long()}
    if split.types is not None:
        inputs["token_type_ids"] = table(split.types)
    return inputs


class BatchStore:
    """The batches of one split.

    Args:
        split: the examples.
        device: where batches are kept.
    """

    def __init__(self, split: TokenSplit, device: torch.device) -> None:
        self.split = split
        self._device = device
        self._kept: OrderedDict[tuple[int, ...], list[Batch]] = OrderedDict()

    def epoch(self, batch_size: int, seed: int, epoch: int) -> Iterable[Batch]:
        """The batches of a training epoch, in the order that ``training_order`` gives."""
        key = (batch_size, seed, epoch)
        return self._get(key, lambda: training_order(self.split, batch_size, seed, epoch))

    def shortest_first(self, batch_size: int) -> Iterable[Batch]:
        """The batches of ``evaluation_order``."""
        return self._get((batch_size,), lambda: evaluation_order(self.split, batch_size))

    def collate(self, rows: Integers) -> Batch:
        """One batch, on the device."""
        return collate(self.split, rows).to(self._device)

    def kept_bytes(self, orders: int) -> int:
        """Most bytes of batches that are kept, if they are asked for in so many orders."""
        size = len(self.split.tokens) * BYTES_PER_TOKEN
        return min(orders, KEPT_BYTES // size) * size if size else 0

    def _get(
        self, key: tuple[int, ...], order: Callable[[], Sequence[Integers]]
    ) -> Iterable[Batch]:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        batches = (self.collate(rows) for rows in order())
        # Sequences of like length share a batch, so little is padded beyond the tokens there are.
        size = len(self.split.tokens) * BYTES_PER_TOKEN
        if size > KEPT_BYTES:
            return batches
        while (len(self._kept) + 1) * size > KEPT_BYTES:
            self._kept.popitem(last=False)
        self._kept[key] = list(batches)
        return self._kept[key]


def evenly(batches: Sequence[Batch], count: int) -> list[Batch]:
    """Batches that stand for all, which are sorted by length.

    Args:
        batches: one or more.
        count: of them, from the middle of as many equal stretches; where there are fewer, all of
            them are repeated until they are enough.
    """
    if len(batches) < count:
        return [*batches] * -(-count // len(batches))
    stretch = len(batches) / count
    return [batches[int((number + 0.5) * stretch)] for number in range(count)]
