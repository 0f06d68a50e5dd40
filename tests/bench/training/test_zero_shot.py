"""A choice that says what the question says is the nearest to it, whatever the model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from bench.data.tasks.multiple_choice import MultipleChoice, Question
from bench.errors import ModelError
from bench.pretrained.source import ModelSource, locate
from bench.training import zero_shot
from bench.training.zero_shot import _parted, cosine_accuracy, likelihood_accuracy, log_likelihoods
from tests.helpers.tiny import CONFIGS, tiny

PLAIN = {"unk_token": "[UNK]", "eos_token": "[EOS]"}
TEXTS = ("water", "red sky", "a long green line of trees", "iron iron", "sky", "trees of iron")


def _source(
    folder: Path, family: str, model: PreTrainedModel | None = None, **special: str
) -> ModelSource:
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: i for i, word in enumerate([*special.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    (model or tiny(family)).save_pretrained(folder)
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


def _decoder(seed: int = 0) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS["llama"]())
    return model.eval()


PAIRS = [(question, choice) for question in TEXTS[:3] for choice in TEXTS]


@torch.no_grad()
def test_a_likelihood_is_the_sum_of_log_softmax_over_the_tokens_of_the_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _decoder()
    source = _source(tmp_path, "llama", model, **PLAIN)
    tokenizer = source.tokenizer()
    expected = []
    for question, choice in PAIRS:
        words = tokenizer(f"{question} {choice}")["input_ids"]
        logits = model(torch.tensor([words])).logits[0].double()
        total = 0.0
        for place in range(len(question.split()), len(words)):
            scores = logits[place - 1]
            total += float(scores[words[place]] - scores.exp().sum().log())
        expected.append(total)
    assert log_likelihoods(source, PAIRS) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(zero_shot, "TEXTS_PER_BATCH", 1)
    assert log_likelihoods(source, PAIRS) == pytest.approx(expected, rel=1e-5)


def test_the_choice_with_the_highest_likelihood_per_character_is_taken(tmp_path: Path) -> None:
    model = _decoder()
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    source = _source(tmp_path, "llama", model, **PLAIN)
    # Every word has probability 1/128: "iron iron" loses 2·log 128 over nine characters, "sky"
    # log 128 over three, "trees of iron" 3·log 128 over thirteen.
    every = log_likelihoods(source, [("water", "iron iron"), ("water", "sky")])
    assert every == pytest.approx([-2 * math.log(128), -math.log(128)])
    choices = ("sky", "iron iron", "trees of iron")
    right, wrong = (
        Question(identifier=str(answer), text="water", choices=choices, answer=answer)
        for answer in (1, 0)
    )
    assert likelihood_accuracy(source, MultipleChoice(), [right]) == 1.0
    assert likelihood_accuracy(source, MultipleChoice(), [wrong, right]) == 0.5


def test_what_a_tokenizer_puts_at_the_end_of_every_text_is_not_the_questions() -> None:
    source_tokens = {"a b": [5, 6, 2], "a b c d": [5, 6, 7, 8, 2]}

    def tokenizer(text: str, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": source_tokens[text]}

    assert _parted(tokenizer, "a b", "c d", 99) == ([5, 6, 7, 8, 2], 2)  # type: ignore[arg-type]


def test_of_a_text_that_is_too_long_the_front_is_cut(tmp_path: Path) -> None:
    source = _source(tmp_path, "llama", _decoder(), **PLAIN)
    long = " ".join(["water"] * 300)
    last = " ".join(["water"] * 127)
    whole, cut = log_likelihoods(source, [(long, "sky"), (last, "sky")])
    assert whole == pytest.approx(cut, rel=1e-6)


def test_an_encoder_and_a_decoder_without_its_head_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="bert is no decoder"):
        log_likelihoods(_source(tmp_path / "bert", "bert", **PLAIN), PAIRS)
    with pytest.raises(ModelError, match=r"missing in the weights.*lm_head"):
        log_likelihoods(_source(tmp_path / "llama", "llama", **PLAIN), PAIRS)
