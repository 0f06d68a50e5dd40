"""What a pretrained model answers before any training: the choice nearest to the question."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from bench.model import pooled
from bench.questions import Question
from bench.source import ModelSource

TEXTS_PER_BATCH = 128


def cosine_accuracy(source: ModelSource, questions: Sequence[Question]) -> float:
    """Share of questions whose right choice has the highest cosine with the question.

    Question and choices are embedded apart, as the mean over their tokens.

    Args:
        source: the model.
        questions: a split.
    """
    texts = sorted({text for q in questions for text in (q.text, *q.choices)}, key=len)
    vectors = dict(zip(texts, _embed(source, texts), strict=True))
    right = 0
    for question in questions:
        choices = torch.stack([vectors[choice] for choice in question.choices])
        right += int((choices @ vectors[question.text]).argmax()) == question.answer
    return right / len(questions)


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
