"""What a pretrained model answers before any training: the answer nearest to what is asked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from bench.model import pooled
from bench.source import ModelSource
from bench.task import AnyTask, Example

TEXTS_PER_BATCH = 128


def cosine_accuracy(source: ModelSource, task: AnyTask, examples: Sequence[Example]) -> float:
    """Share of examples whose right answer has the highest cosine with what is asked.

    That and the texts of the answers are embedded apart, as the mean over their tokens.

    Args:
        source: the model.
        task: says which texts these are.
        examples: a split.
    """
    told = [task.described(example) for example in examples]
    texts = sorted({text for asked, answers in told for text in (asked, *answers)}, key=len)
    vectors = dict(zip(texts, _embed(source, texts), strict=True))
    right = 0
    for example, (asked, answers) in zip(examples, told, strict=True):
        offered = torch.stack([vectors[answer] for answer in answers])
        right += int((offered @ vectors[asked]).argmax()) == task.answer(example)
    return right / len(examples)


@torch.inference_mode()
def _embed(source: ModelSource, texts: Sequence[str]) -> torch.Tensor:
    """Unit vectors, ``(texts, width)``."""
    tokenizer, backbone = source.tokenizer(), source.backbone().eval()
    if tokenizer.pad_token is None:  # masked, so any token will do
        tokenizer.pad_token = tokenizer.eos_token
    parts = []
    for start in range(0, len(texts), TEXTS_PER_BATCH):
        batch = tokenizer(
            list(texts[start : start + TEXTS_PER_BATCH]),
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        hidden = backbone(**batch).last_hidden_state
        parts.append(F.normalize(pooled(hidden, batch["attention_mask"], "mean"), dim=1))
    return torch.cat(parts)
