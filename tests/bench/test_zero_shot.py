"""A choice that says what the question says is the nearest to it, whatever the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bench import zero_shot
from bench.questions import Question
from bench.source import ModelSource, locate
from bench.tasks.multiple_choice import MultipleChoice
from bench.zero_shot import cosine_accuracy
from tests.tiny import tiny

PLAIN = {"unk_token": "[UNK]", "eos_token": "[EOS]"}
TEXTS = ("water", "red sky", "a long green line of trees", "iron iron", "sky", "trees of iron")


def _source(folder: Path, family: str, **special: str) -> ModelSource:
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: i for i, word in enumerate([*special.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    tiny(family).save_pretrained(folder)
    return locate(str(folder))


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    return _source(tmp_path, "bert", pad_token="[PAD]", **PLAIN)


def _echoes(*answers_off: int) -> list[Question]:
    """Questions that one choice repeats; the answer is so many places after that choice."""
    return [
        Question(
            identifier=str(index),
            text=TEXTS[index],
            choices=tuple(TEXTS[:4]),
            answer=(index + off) % 4,
        )
        for index, off in enumerate(answers_off)
    ]


@pytest.mark.parametrize(
    ("answers_off", "share"), [((0, 0, 0, 0), 1.0), ((0, 1, 0, 0), 0.75), ((1, 2, 3, 1), 0.0)]
)
def test_the_choice_that_repeats_the_question_is_taken(
    source: ModelSource, answers_off: tuple[int, ...], share: float
) -> None:
    assert cosine_accuracy(source, MultipleChoice(), _echoes(*answers_off)) == share


def test_questions_may_have_different_numbers_of_choices(source: ModelSource) -> None:
    two = Question(identifier="two", text="sky", choices=("trees of iron", "sky"), answer=1)
    assert cosine_accuracy(source, MultipleChoice(), [*_echoes(0, 0), two]) == 1.0


def test_batches_and_padding_change_no_vector(
    source: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = zero_shot._embed(source, TEXTS)
    monkeypatch.setattr(zero_shot, "TEXTS_PER_BATCH", 1)
    torch.testing.assert_close(zero_shot._embed(source, TEXTS), together)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(TEXTS)))


def test_a_decoder_without_a_word_for_padding_answers_too(tmp_path: Path) -> None:
    assert (
        cosine_accuracy(_source(tmp_path, "llama", **PLAIN), MultipleChoice(), _echoes(0, 0, 0, 0))
        == 1.0
    )
