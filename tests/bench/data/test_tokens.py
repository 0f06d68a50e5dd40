"""Questions as tokens: nothing lost, nothing mixed up, and an order that can be repeated."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from bench.data.batches import collate
from bench.data.tasks.multiple_choice import MultipleChoice, Question
from bench.data.tokens import (
    BUCKET_BATCHES,
    TokenSplit,
    evaluation_order,
    tokenise,
    training_order,
)
from bench.pretrained.source import locate

TEXT = "bees make wax and honey in the garden while the cat sleeps on a warm stone wall"
WORDS = TEXT.split()


def question(number: int, choices: int, words: int = 4) -> Question:
    """A question of some words; choice ``c`` of question ``q`` reads like no other."""
    return Question(
        identifier=f"q{number}",
        text=" ".join(WORDS[(number + index) % len(WORDS)] for index in range(words)),
        choices=tuple(f"{number} apples and {choice} pears" for choice in range(choices)),
        answer=number % choices,
    )


MIXED = [question(0, 4), question(1, 2, words=9), question(2, 8, words=1), question(3, 3)]
MANY = [question(number, 2 + number % 3, words=1 + number * 7 % 12) for number in range(103)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return locate("bundled").tokenizer()


@pytest.fixture(scope="module")
def mixed(tokenizer: PreTrainedTokenizerBase) -> TokenSplit:
    return tokenise(MultipleChoice(), MIXED, tokenizer, 64)


@pytest.fixture(scope="module")
def many(tokenizer: PreTrainedTokenizerBase) -> TokenSplit:
    return tokenise(MultipleChoice(), MANY, tokenizer, 64)


def test_questions_may_have_different_numbers_of_choices(mixed: TokenSplit) -> None:
    assert mixed.examples == 4
    assert mixed.sequences == 4 + 2 + 8 + 3
    assert mixed.first.tolist() == [0, 4, 6, 14, 17]
    assert mixed.answers.tolist() == [q.answer for q in MIXED]


def test_a_sequence_is_what_the_tokenizer_makes_of_question_and_choice(
    mixed: TokenSplit, tokenizer: PreTrainedTokenizerBase
) -> None:
    pairs = [(q.text, choice) for q in MIXED for choice in q.choices]
    assert mixed.types is not None
    for place, (text, choice) in enumerate(pairs):
        alone = tokenizer(text, choice)
        inside = slice(mixed.starts[place], mixed.starts[place + 1])
        assert mixed.tokens[inside].tolist() == alone["input_ids"]
        assert mixed.types[inside].tolist() == alone["token_type_ids"]


def test_exactly_the_sequences_that_lost_tokens_are_counted(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    lengths = [len(tokenizer(q.text, choice)["input_ids"]) for q in MANY for choice in q.choices]
    for limit in (8, sorted(lengths)[len(lengths) // 2], max(lengths), max(lengths) + 1):
        split = tokenise(MultipleChoice(), MANY, tokenizer, limit)
        assert split.truncated == sum(length > limit for length in lengths)
        assert np.diff(split.starts).tolist() == [min(length, limit) for length in lengths]
    assert split.truncated == 0


def test_cutting_keeps_the_whole_choice_when_the_question_is_the_longer_part(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    long = Question(identifier="q", text="bees " * 200, choices=("red wax", "blue"), answer=0)
    split = tokenise(MultipleChoice(), [long], tokenizer, 16)
    assert split.truncated == 2
    ids = collate(split, np.array([0], dtype=np.int32)).inputs["input_ids"][0]
    assert tokenizer.decode(ids, skip_special_tokens=True).endswith("bees red wax")


def test_a_tokenizer_without_a_separator_gets_one_text(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tokenizer), "sep_token", None, raising=False)
    assert tokenizer.sep_token is None
    split = tokenise(MultipleChoice(), [question(0, 2)], tokenizer, 64)
    inside = slice(split.starts[1], split.starts[2])
    text, choice = question(0, 2).text, question(0, 2).choices[1]
    assert split.tokens[inside].tolist() == tokenizer(f"{text} {choice}")["input_ids"]


def test_the_longest_sequence_of_each_question_is_known(mixed: TokenSplit) -> None:
    lengths = np.diff(mixed.starts)
    expected = [int(lengths[a:b].max()) for a, b in ((0, 4), (4, 6), (6, 14), (14, 17))]
    assert mixed.longest.tolist() == expected


@pytest.mark.parametrize("batch_size", [1, 4, 16, 200])
def test_an_epoch_covers_every_question_once(many: TokenSplit, batch_size: int) -> None:
    order = training_order(many, batch_size, seed=3, epoch=1)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(MANY)))
    sizes = sorted((len(rows) for rows in order), reverse=True)
    full, rest = divmod(len(MANY), batch_size)
    assert sizes == [batch_size] * full + [rest] * (rest > 0)


def orders(split: TokenSplit, **arguments: int) -> list[list[int]]:
    return [rows.tolist() for rows in training_order(split, 4, **arguments)]


def test_the_training_order_depends_on_seed_and_epoch_only(many: TokenSplit) -> None:
    before = orders(many, seed=3, epoch=1)
    np.random.default_rng().random()
    torch.rand(3)
    assert orders(many, seed=3, epoch=1) == before
    assert orders(many, seed=4, epoch=1) != before
    assert orders(many, seed=3, epoch=2) != before


def test_seed_and_epoch_are_not_mixed_up(many: TokenSplit) -> None:
    assert orders(many, seed=1, epoch=2) != orders(many, seed=2, epoch=1)


def padding(split: TokenSplit, order: list[np.ndarray]) -> int:
    """What the sequences of each batch lack to its longest one, in tokens."""
    lengths = np.diff(split.starts)
    batches = (
        np.concatenate([lengths[split.first[row] : split.first[row + 1]] for row in rows])
        for rows in order
    )
    return sum(int((batch.max() - batch).sum()) for batch in batches)


def test_questions_of_like_length_train_together(tokenizer: PreTrainedTokenizerBase) -> None:
    count = 3 * BUCKET_BATCHES * 4
    questions = [question(number, 4, words=1 + number * 7 % 12) for number in range(count)]
    split = tokenise(MultipleChoice(), questions, tokenizer, 64)
    generator = np.random.default_rng(0)
    shuffled = np.array_split(generator.permutation(count).astype(np.int32), count // 4)
    ordered = training_order(split, 4, seed=0, epoch=0)
    assert padding(split, ordered) < 0.25 * padding(split, shuffled)


def test_evaluation_goes_from_short_to_long_and_covers_every_question_once(
    many: TokenSplit,
) -> None:
    order = evaluation_order(many, 16)
    rows = np.concatenate(order)
    assert sorted(rows.tolist()) == list(range(len(MANY)))
    assert (np.diff(many.longest[rows]) >= 0).all()
    assert [len(part) for part in order] == [16] * 6 + [7]
