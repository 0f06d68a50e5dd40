"""Batches: every sequence in its place, padded on the right, collated once."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from bench.data import batches
from bench.data.batches import BatchStore, collate
from bench.data.tasks.multiple_choice import MultipleChoice, Question
from bench.data.tokens import TokenSplit, evaluation_order, tokenise, training_order
from bench.pretrained.source import locate
from bench.task import Batch
from tests.helpers.trials import make_questions

CPU = torch.device("cpu")
WORDS = ["bees", "make", "wax", "and", "honey", "in", "the", "garden"]
MIXED = [
    Question(
        identifier=f"q{number}",
        text=" ".join([WORDS[number]] * words),
        choices=tuple(f"{number} apples and {choice} pears" for choice in range(choices)),
        answer=number % choices,
    )
    for number, (choices, words) in enumerate([(4, 4), (2, 9), (8, 1), (3, 4)])
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return locate("bundled").tokenizer()


@pytest.fixture(scope="module")
def mixed(tokenizer: PreTrainedTokenizerBase) -> TokenSplit:
    return tokenise(MultipleChoice(), MIXED, tokenizer, 64)


def readings(batch: Batch, tokenizer: PreTrainedTokenizerBase) -> dict[tuple[int, int], str]:
    """Text of the unmasked tokens per (question, choice) of a batch."""
    texts = [
        tokenizer.decode(ids[mask.bool()], skip_special_tokens=True)
        for ids, mask in zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True)
    ]
    places = zip(batch.example.tolist(), batch.place.tolist(), strict=True)
    return dict(zip(places, texts, strict=True))


def test_every_sequence_of_a_batch_stands_at_its_question_and_choice(
    mixed: TokenSplit, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = np.array([3, 0, 2], dtype=np.int32)
    batch = collate(mixed, rows)
    assert batch.rows.tolist() == [3, 0, 2]
    assert batch.answers.tolist() == [MIXED[row].answer for row in rows]
    assert batch.widest == 8
    assert readings(batch, tokenizer) == {
        (place, choice): f"{MIXED[row].text} {text}"
        for place, row in enumerate(rows)
        for choice, text in enumerate(MIXED[row].choices)
    }
    owners = [(int(rows[q]), int(c)) for q, c in zip(batch.example, batch.place, strict=True)]
    assert batch.sequences.tolist() == [mixed.first[row] + choice for row, choice in owners]


def test_padding_is_on_the_right_and_masked(mixed: TokenSplit) -> None:
    inputs = collate(mixed, np.array([1, 2], dtype=np.int32)).inputs
    lengths = np.diff(mixed.starts)[np.r_[4:6, 6:14]]
    assert lengths.min() < lengths.max()
    width = int(lengths.max())
    expected = [[1] * length + [0] * (width - length) for length in lengths]
    assert inputs["attention_mask"].tolist() == expected
    padding = inputs["attention_mask"] == 0
    assert not inputs["input_ids"][padding].any()
    assert not inputs["token_type_ids"][padding].any()


def test_the_inputs_have_one_shape_and_the_type_of_indices(mixed: TokenSplit) -> None:
    batch = collate(mixed, np.array([0, 1, 2, 3], dtype=np.int32))
    assert set(batch.inputs) == {"input_ids", "attention_mask", "token_type_ids"}
    assert len({tensor.shape for tensor in batch.inputs.values()}) == 1
    assert {tensor.dtype for tensor in batch.inputs.values()} == {torch.int64}
    assert len(batch.example) == len(batch.place) == mixed.sequences


@pytest.mark.parametrize(("longest", "width"), [(5, 6), (6, 6), (11, 11)])
def test_a_batch_is_a_multiple_of_two_wide_or_as_wide_as_the_split(
    longest: int, width: int
) -> None:
    lengths = np.array([4, longest, 3, 11], dtype=np.int32)
    split = TokenSplit(
        tokens=np.ones(lengths.sum(), dtype=np.int32),
        types=None,
        starts=np.cumsum([0, *lengths], dtype=np.int32),
        first=np.array([0, 2, 4], dtype=np.int32),
        answers=np.zeros(2, dtype=np.int32),
        truncated=0,
    )
    batch = collate(split, np.array([0], dtype=np.int32))
    assert batch.inputs["input_ids"].shape == (2, width)
    assert batch.padded_tokens == 2 * width
    assert batch.real_tokens == 4 + longest


def test_an_epoch_is_collated_once_in_the_order_of_its_seed() -> None:
    split = make_questions(30)
    store = BatchStore(split, CPU)
    first = list(store.epoch(4, 7, 1))
    order = training_order(split, 4, seed=7, epoch=1)
    assert [batch.rows.tolist() for batch in first] == [rows.tolist() for rows in order]
    other = list(store.epoch(4, 8, 1))
    assert all(again is batch for again, batch in zip(store.epoch(4, 7, 1), first, strict=True))
    assert [batch.rows.tolist() for batch in other] != [batch.rows.tolist() for batch in first]
    sorted_rows = [batch.rows.tolist() for batch in store.shortest_first(4)]
    assert sorted_rows == [rows.tolist() for rows in evaluation_order(split, 4)]


def test_what_is_too_large_to_keep_is_collated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    split = make_questions(30)
    size = len(split.tokens) * batches.BYTES_PER_TOKEN
    monkeypatch.setattr(batches, "KEPT_BYTES", size - 1)
    store = BatchStore(split, CPU)
    first, second = list(store.epoch(4, 7, 1)), list(store.epoch(4, 7, 1))
    assert [b.rows.tolist() for b in first] == [b.rows.tolist() for b in second]
    assert first[0] is not second[0]


def test_the_epoch_asked_for_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    split = make_questions(30)
    size = len(split.tokens) * batches.BYTES_PER_TOKEN
    monkeypatch.setattr(batches, "KEPT_BYTES", 2 * size)
    store = BatchStore(split, CPU)
    first, second = list(store.epoch(4, 7, 0)), list(store.epoch(4, 7, 1))
    assert next(iter(store.epoch(4, 7, 0))) is first[0]
    list(store.epoch(4, 7, 2))
    assert next(iter(store.epoch(4, 7, 0))) is first[0]
    assert next(iter(store.epoch(4, 7, 1))) is not second[0]


def test_the_parts_of_a_batch_hold_its_questions_in_order() -> None:
    split = make_questions(7)
    batch = collate(split, np.arange(7, dtype=np.int32))
    parts = list(batch.parts(3))
    assert [len(part.rows) for part in parts] == [3, 3, 1]
    for name, tensor in batch.inputs.items():
        assert torch.equal(torch.cat([part.inputs[name] for part in parts]), tensor)
    for field in ("sequences", "place", "answers", "rows"):
        joined = torch.cat([getattr(part, field) for part in parts])
        assert torch.equal(joined, getattr(batch, field))
    assert [part.example.unique().tolist() for part in parts] == [[0, 1, 2], [0, 1, 2], [0]]
