"""Examples as token arrays: tokenise a split once, and say which examples share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from bench.task import AnyTask, Example, Segments

Integers = npt.NDArray[np.int32]

BUCKET_BATCHES = 32
"""Batches that share one bucket: examples of like length are put together inside a bucket only,
so that the order stays close to a random one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenSplit:
    """The sequences of a split, laid end to end.

    Sequence ``s`` is ``tokens[starts[s]:starts[s + 1]]``; example ``e`` owns the sequences
    ``first[e]`` to ``first[e + 1]``, in the order its task gives them.

    Attributes:
        tokens: token ids, ``(all tokens,)``.
        types: token types in the same layout, or ``None`` where the tokenizer makes none.
        starts: ``(sequences + 1,)``.
        first: ``(examples + 1,)``.
        answers: right answers, ``(examples,)``.
        truncated: sequences that were cut.
    """

    tokens: Integers
    types: Integers | None
    starts: Integers
    first: Integers
    answers: Integers
    truncated: int

    @property
    def examples(self) -> int:
        """How many examples."""
        return len(self.answers)

    @property
    def sequences(self) -> int:
        """How many sequences."""
        return len(self.starts) - 1

    @property
    def longest(self) -> Integers:
        """Tokens of the longest sequence per example."""
        lengths = np.diff(self.starts)
        return np.maximum.reduceat(lengths, self.first[:-1]).astype(np.int32)


def tokenise(
    task: AnyTask,
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> TokenSplit:
    """Encodes the sequences of each example.

    Tokenizers with a separator get pairs as pairs; others (those of most decoders) joined by a
    space.

    Args:
        task: says which sequences an example is.
        examples: the split.
        tokenizer: the model's own.
        max_length: tokens per sequence; of a pair the longer text is cut, of a joined one the
            front, of a single text the end.
    """
    segments = [task.segments(example) for example in examples]
    parts = [part for each in segments for part in each]
    encoded = _encode(tokenizer, parts, max_length)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    full = [part for part, length in zip(parts, lengths, strict=True) if length == max_length]
    uncut = _encode(tokenizer, full, None)["input_ids"] if full else []
    types = encoded.get("token_type_ids")
    return TokenSplit(
        tokens=_joined(encoded["input_ids"]),
        types=None if types is None else _joined(types),
        starts=_starts(lengths),
        first=_starts([len(each) for each in segments]),
        answers=np.array([task.answer(example) for example in examples], dtype=np.int32),
        truncated=sum(len(ids) > max_length for ids in uncut),
    )


def _encode(
    tokenizer: PreTrainedTokenizerBase, parts: Sequence[Segments], max_length: int | None
) -> dict[str, Any]:
    options: dict[str, Any] = {"verbose": False}
    if max_length is not None:
        options |= {"truncation": True, "max_length": max_length}
    if len(parts[0]) > 1 and tokenizer.sep_token is None:
        # Cut in front: what tells the sequences of an example apart stands last.
        tokenizer.truncation_side = "left"
        parts = [(" ".join(part),) for part in parts]
    return dict(tokenizer(*map(list, zip(*parts, strict=True)), **options))


def _joined(lists: Sequence[Sequence[int]]) -> Integers:
    return np.concatenate([np.asarray(items, dtype=np.int32) for items in lists])


def _starts(lengths: Sequence[int]) -> Integers:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def training_order(split: TokenSplit, batch_size: int, seed: int, epoch: int) -> list[Integers]:
    """Examples of each batch of an epoch: random, but of like length inside a bucket.

    Depends on nothing but its arguments: equal seeds see equal batches whatever the strategy.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(split.examples).astype(np.int32)
    longest = split.longest
    batches: list[Integers] = []
    for bucket in _pieces(order, BUCKET_BATCHES * batch_size):
        by_length = bucket[np.argsort(longest[bucket], kind="stable")]
        batches.extend(_pieces(by_length, batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


def evaluation_order(split: TokenSplit, batch_size: int) -> list[Integers]:
    """Examples of each batch, shortest first, so that little is padded."""
    return _pieces(np.argsort(split.longest, kind="stable").astype(np.int32), batch_size)


def _pieces(order: Integers, size: int) -> list[Integers]:
    return [order[start : start + size] for start in range(0, len(order), size)]
