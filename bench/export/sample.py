"""Made-up questions, on which an export is compared with the model it was written from."""

from __future__ import annotations

import random

from transformers import PreTrainedTokenizerBase

from bench.questions import Question

SHAPES = ((4, (2, 3)), (9, (1, 4, 2)), (17, (3, 3, 3, 3)), (30, (6, 2)))
"""Tokens of each question, and of each of its choices."""


def sample_questions(tokenizer: PreTrainedTokenizerBase) -> tuple[Question, ...]:
    """Questions without meaning, the same for equal tokenizers, of unequal length and choices."""
    generator = random.Random(0)
    return tuple(
        Question(
            identifier=f"sample-{number}",
            text=_text(tokenizer, length, generator),
            choices=tuple(_text(tokenizer, size, generator) for size in sizes),
            answer=0,
        )
        for number, (length, sizes) in enumerate(SHAPES)
    )


def _text(tokenizer: PreTrainedTokenizerBase, tokens: int, generator: random.Random) -> str:
    drawn = [generator.randrange(len(tokenizer)) for _ in range(tokens)]
    return str(tokenizer.decode(drawn, skip_special_tokens=True)).strip() or "?"
