"""Questions as token arrays: tokenise a split once, and say which questions share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from bench.questions import Question

Integers = npt.NDArray[np.int32]

BUCKET_BATCHES = 32
"""Batches that share one bucket: questions of like length are put together inside a bucket only,
so that the order stays close to a random one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenSplit:
    """The (question, choice) sequences of a split, laid end to end.

    Sequence ``s`` is ``tokens[starts[s]:starts[s + 1]]``; question ``q`` owns the sequences
    ``first[q]`` to ``first[q + 1]``, one per choice and in their order.

    Attributes:
        tokens: token ids, ``(all tokens,)``.
        types: token types in the same layout, or ``None`` where the tokenizer makes none.
        starts: ``(sequences + 1,)``.
        first: ``(questions + 1,)``.
        answers: index of the right choice, ``(questions,)``.
        truncated: sequences that were cut.
    """

    tokens: Integers
    types: Integers | None
    starts: Integers
    first: Integers
    answers: Integers
    truncated: int

    @property
    def questions(self) -> int:
        """How many questions."""
        return len(self.answers)

    @property
    def sequences(self) -> int:
        """How many (question, choice) sequences."""
        return len(self.starts) - 1

    @property
    def longest(self) -> Integers:
        """Tokens of the longest sequence per question."""
        lengths = np.diff(self.starts)
        return np.maximum.reduceat(lengths, self.first[:-1]).astype(np.int32)


def tokenise(
    questions: Sequence[Question], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> TokenSplit:
    """Encodes each choice with its question as one sequence.

    Tokenizers with a separator get a pair; others (those of most decoders) one text.

    Args:
        questions: the split.
        tokenizer: the model's own.
        max_length: tokens per sequence; of a pair the longer one is cut, of one text the front.
    """
    pairs = [(question.text, choice) for question in questions for choice in question.choices]
    encoded = _encode(tokenizer, pairs, max_length)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    full = [pair for pair, length in zip(pairs, lengths, strict=True) if length == max_length]
    uncut = _encode(tokenizer, full, None)["input_ids"] if full else []
    types = encoded.get("token_type_ids")
    return TokenSplit(
        tokens=_joined(encoded["input_ids"]),
        types=None if types is None else _joined(types),
        starts=_starts(lengths),
        first=_starts([len(question.choices) for question in questions]),
        answers=np.array([question.answer for question in questions], dtype=np.int32),
        truncated=sum(len(ids) > max_length for ids in uncut),
    )


def _encode(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], max_length: int | None
) -> dict[str, Any]:
    options: dict[str, Any] = {"verbose": False}
    if max_length is not None:
        options |= {"truncation": True, "max_length": max_length}
    if tokenizer.sep_token is None:
        # Cut in front: the choice, which tells the sequences of a question apart, stands last.
        tokenizer.truncation_side = "left"
        return dict(tokenizer([f"{text} {choice}" for text, choice in pairs], **options))
    texts, choices = zip(*pairs, strict=True)
    return dict(tokenizer(list(texts), list(choices), **options))


def _joined(lists: Sequence[Sequence[int]]) -> Integers:
    return np.concatenate([np.asarray(items, dtype=np.int32) for items in lists])


def _starts(lengths: Sequence[int]) -> Integers:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def training_order(split: TokenSplit, batch_size: int, seed: int, epoch: int) -> list[Integers]:
    """Questions of each batch of an epoch: random, but of like length inside a bucket.

    Depends on nothing but its arguments: equal seeds see equal batches whatever the strategy.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(split.questions).astype(np.int32)
    longest = split.longest
    batches: list[Integers] = []
    for bucket in _pieces(order, BUCKET_BATCHES * batch_size):
        by_length = bucket[np.argsort(longest[bucket], kind="stable")]
        batches.extend(_pieces(by_length, batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


def evaluation_order(split: TokenSplit, batch_size: int) -> list[Integers]:
    """Questions of each batch, shortest first, so that little is padded."""
    return _pieces(np.argsort(split.longest, kind="stable").astype(np.int32), batch_size)


def _pieces(order: Integers, size: int) -> list[Integers]:
    return [order[start : start + size] for start in range(0, len(order), size)]
