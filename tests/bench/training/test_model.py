"""The head scores choices; the precision follows wish and processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AlbertTokenizer, MPNetTokenizer, PreTrainedTokenizerBase

from bench.data.batches import collate
from bench.data.tasks.multiple_choice import MultipleChoice, Question
from bench.data.tokens import TokenSplit, tokenise
from bench.pretrained.source import locate
from bench.task import Batch
from bench.training import model as bench_model
from bench.training.model import TaskModel, choose_precision, pooled, store_in_bf16
from strategies.lora import LoRA
from tests.helpers.tiny import WIDTH, sentences, tiny

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
WORDS = ("is", "water", "wet", "dry")


def _batch() -> Batch:
    """A question with two choices, and one with three."""
    lengths = [3, 2, 4, 2, 3]
    return collate(
        TokenSplit(
            tokens=np.arange(3, 3 + sum(lengths), dtype=np.int32),
            types=None,
            starts=np.cumsum([0, *lengths], dtype=np.int32),
            first=np.array([0, 2, 5], dtype=np.int32),
            answers=np.array([1, 2], dtype=np.int32),
            truncated=0,
        ),
        np.array([0, 1], dtype=np.int32),
    )


def _choices_model(backbone: nn.Module) -> TaskModel:
    torch.manual_seed(0)
    return TaskModel(MultipleChoice(), backbone, width=WIDTH, pooling="mean", dropout=0.0)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("cls", [[1.0, 2.0], [7.0, 8.0]]),
        ("mean", [[3.0, 4.0], [7.0, 8.0]]),
        ("last", [[5.0, 6.0], [7.0, 8.0]]),
    ],
)
def test_pooling_reads_the_text_and_not_its_padding(
    pooling: bench_model.Pooling, expected: list[list[float]]
) -> None:
    hidden = torch.tensor([[[1.0, 2.0], [5.0, 6.0]], [[7.0, 8.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1], [1, 0]])
    assert pooled(hidden, mask, pooling).tolist() == expected


def test_each_choice_is_scored_as_if_it_stood_alone() -> None:
    model, batch = _choices_model(tiny("bert")).eval(), _batch()
    logits = model(batch)
    assert logits.shape == (2, 3)
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    for row, place in enumerate(places):
        size = int(batch.inputs["attention_mask"][row].sum())
        alone = {name: tensor[row : row + 1, :size] for name, tensor in batch.inputs.items()}
        state = model.backbone(**alone).last_hidden_state.mean(dim=1)
        torch.testing.assert_close(logits[place], model.head(state)[0, 0])


def _mpnet_words() -> PreTrainedTokenizerBase:
    """Text begins with 0, ends with 2, is padded with 1; parts are separated by 2 2; no types."""
    special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    return MPNetTokenizer(vocab={word: i for i, word in enumerate([*special, *WORDS])})


def _albert_words() -> PreTrainedTokenizerBase:
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    return AlbertTokenizer(vocab=[(w, 0.0) for w in [*special, *(f"▁{w}" for w in WORDS)]])


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize(
    ("family", "words", "begins", "types"),
    [("mpnet", _mpnet_words, 0, False), ("albert", _albert_words, 2, True)],
)
def test_vectors_are_those_of_the_family_s_own_tokenizer_whatever_it_pads_with(
    family: str,
    words: Callable[[], PreTrainedTokenizerBase],
    begins: int,
    types: bool,
    pooling: bench_model.Pooling,
    tmp_path: Path,
) -> None:
    words().save_pretrained(tmp_path)
    tiny(family).save_pretrained(tmp_path)
    source = locate(str(tmp_path))
    tokenizer, backbone = source.tokenizer(), source.backbone().eval()
    choices = ("wet", "dry water is wet", "dry dry dry dry dry")
    question = Question(identifier="q", text="water is", choices=choices, answer=0)
    split = tokenise(MultipleChoice(), [question], tokenizer, 64)
    batch = collate(split, np.array([0], dtype=np.int32))
    assert batch.inputs["input_ids"][:, 0].tolist() == [begins] * len(choices)
    assert (split.types is not None) == types
    torch.manual_seed(0)
    model = TaskModel(MultipleChoice(), backbone, width=WIDTH, pooling=pooling, dropout=0.0).eval()
    assert types == bool((batch.inputs.get("token_type_ids", torch.zeros(1)) == 1).any())
    theirs = tokenizer(
        [question.text] * len(choices), list(choices), padding=True, return_tensors="pt"
    )
    assert (theirs["input_ids"] == tokenizer.pad_token_id).any()
    hidden = backbone(**theirs).last_hidden_state
    expected = pooled(hidden, theirs["attention_mask"], pooling)
    torch.testing.assert_close(model.read(batch.inputs), expected)


def test_a_choice_that_does_not_exist_is_never_chosen_and_harms_no_gradient() -> None:
    model, batch = _choices_model(tiny("bert")), _batch()
    logits = model(batch)
    assert logits.isneginf().tolist() == [[False, False, True], [False, False, False]]
    loss = F.cross_entropy(logits, batch.answers)
    two, three = logits[0, :2].softmax(0)[1], logits[1].softmax(0)[2]
    torch.testing.assert_close(loss, -(two.log() + three.log()) / 2)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.head.parameters())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_logits_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert _choices_model(tiny("bert"))(_batch()).dtype == torch.float32


@pytest.mark.parametrize(
    ("asked", "avx512", "amx", "chosen"),
    [
        ("auto", False, False, "fp32"),
        ("auto", True, False, "bf16"),
        ("auto", False, True, "bf16"),
        ("fp32", True, True, "fp32"),
        ("bf16", False, False, "bf16"),
    ],
)
def test_precision_follows_the_wish_and_then_the_processor(
    asked: bench_model.Precision,
    avx512: bool,
    amx: bool,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert choose_precision(asked, torch.device("cpu")) == chosen


@pytest.mark.parametrize("emulated", [True, False])
def test_a_gpu_that_only_emulates_bf16_computes_in_fp32(
    emulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or not emulated,
    )
    assert choose_precision("auto", torch.device("cuda")) == ("fp32" if emulated else "bf16")


@pytest.mark.parametrize("trained_too", [False, True])
def test_only_matrices_are_stored_in_bf16_and_trained_ones_when_asked(trained_too: bool) -> None:
    model = LoRA().adapt(tiny("bert"))
    store_in_bf16(model, trained_too=trained_too)
    for name, parameter in model.named_parameters():
        halved = parameter.ndim >= 2 and (trained_too or not parameter.requires_grad)
        assert parameter.dtype == (torch.bfloat16 if halved else torch.float32), name
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model(**sentences()).last_hidden_state.isfinite().all()
