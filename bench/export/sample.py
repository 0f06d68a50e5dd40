"""Made-up examples, on which an export is compared with the model it was written from."""

from __future__ import annotations

import random

from transformers import PreTrainedTokenizerBase

from bench.task import AnyTask, Example


def sample_of(task: AnyTask, tokenizer: PreTrainedTokenizerBase) -> tuple[Example, ...]:
    """Examples without meaning, of unequal length; the same for equal tasks and tokenizers."""
    generator = random.Random(0)

    def text(tokens: int) -> str:
        drawn = [generator.randrange(len(tokenizer)) for _ in range(tokens)]
        return str(tokenizer.decode(drawn, skip_special_tokens=True)).strip() or "?"

    return tuple(task.made_up(text))
