"""What a pretrained model answers before any training.

The answer whose embedding is nearest to what is asked; of a decoder also the answer that is
likeliest to follow it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.anatomy import positions
from bench.pretrained.source import ModelSource
from bench.task import AnyTask, Example
from bench.training.model import pooled

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


def likelihood_accuracy(source: ModelSource, task: AnyTask, examples: Sequence[Example]) -> float:
    """Share of examples whose right answer is, for its length, the likeliest after what is asked.

    The score of an answer is ``Σ log p(token | asked, tokens before) / characters``, over the
    tokens of the answer, which follows what is asked after a space; its characters are counted
    without that space. It is ``acc_norm`` of the Language Model Evaluation Harness (Gao et al.,
    https://github.com/EleutherAI/lm-evaluation-harness). Of texts longer than the model can read,
    the front is cut.

    Args:
        source: a decoder.
        task: says which texts these are.
        examples: a split.

    Raises:
        ModelError: it is none.
    """
    told = [task.described(example) for example in examples]
    pairs = [(asked, answer) for asked, answers in told for answer in answers]
    scores = iter(
        total / len(answer)
        for (_, answer), total in zip(pairs, log_likelihoods(source, pairs), strict=True)
    )
    right = 0
    for example, (_, answers) in zip(examples, told, strict=True):
        own = [next(scores) for _ in answers]
        right += own.index(max(own)) == task.answer(example)
    return right / len(examples)


@torch.inference_mode()
def log_likelihoods(source: ModelSource, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Natural logarithm of the probability of each second text after the first.

    Args:
        source: a decoder.
        pairs: of texts, none of them empty.

    Raises:
        ModelError: it is none.
    """
    model, tokenizer = source.language_model().eval(), source.tokenizer()
    limits = (positions(model.config), tokenizer.model_max_length)
    most = min(limit for limit in limits if limit)
    texts = [_parted(tokenizer, question, choice, most) for question, choice in pairs]
    order = sorted(range(len(texts)), key=lambda place: len(texts[place].tokens))
    found = [0.0] * len(texts)
    for start in range(0, len(order), TEXTS_PER_BATCH):
        places = order[start : start + TEXTS_PER_BATCH]
        for place, total in zip(places, _totals(model, [texts[p] for p in places]), strict=True):
            found[place] = total
    return found


class _Parted(NamedTuple):
    """Tokens of a question and its choice, and how many are the question's."""

    tokens: list[int]
    given: int


def _parted(tokenizer: PreTrainedTokenizerBase, question: str, choice: str, most: int) -> _Parted:
    """A token that holds the end of the one and the beginning of the other is the choice's."""
    alone: list[int] = tokenizer(question, verbose=False)["input_ids"]
    whole: list[int] = tokenizer(f"{question} {choice}", verbose=False)["input_ids"]
    shared = itertools.takewhile(lambda two: two[0] == two[1], zip(alone, whole, strict=False))
    given = max(1, sum(1 for _ in shared))  # nothing tells how likely the first token is
    cut = max(0, len(whole) - most)
    return _Parted(whole[cut:], max(1, given - cut))


def _totals(model: PreTrainedModel, texts: Sequence[_Parted]) -> list[float]:
    """Log-likelihood of what follows the question in each text."""
    lengths = torch.tensor([len(text.tokens) for text in texts])
    given = torch.tensor([text.given for text in texts])
    rows = [torch.tensor(text.tokens) for text in texts]
    tokens = pad_sequence(rows, batch_first=True)  # on the right, where nothing looks at it
    places = torch.arange(tokens.shape[1])
    logits = model(input_ids=tokens, attention_mask=(places < lengths[:, None]).long()).logits
    steps = logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
    counted = (places[1:] >= given[:, None]) & (places[1:] < lengths[:, None])
    totals: list[float] = steps.double().masked_fill(~counted, 0.0).sum(1).tolist()
    return totals


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
