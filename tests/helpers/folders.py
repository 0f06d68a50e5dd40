"""Folders a person might point to, written for real: a tiny model, a tiny dataset, a run."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from bench.records.study_record import Run
from bench.storage.ledger import Ledger
from tests.helpers.tiny import tiny

WORDS = [f"word{index}" for index in range(100)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_model(folder: Path, *, family: str = "bert", first_token: bool = True) -> Path:
    """A random model of two narrow layers with a tokenizer of a hundred words.

    Args:
        folder: where to.
        family: see ``tests.helpers.tiny``.
        first_token: whether every text begins with [CLS] and parts are separated by [SEP].
    """
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    if first_token:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        special |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.save_pretrained(folder)
    tiny(family).save_pretrained(folder)
    return folder


def write_dataset(folder: Path, *, train: int = 48, validation: int = 24, test: int = 24) -> Path:
    """Questions whose right choice repeats a word of the question."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(0)
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        rows = [_row(f"{split}-{index}", generator) for index in range(count)]
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{split}.jsonl").write_text(f"{text}\n", encoding="utf-8")
    return folder


def write_run(folder: Path, run: Run) -> Path:
    """A run folder that holds these records."""
    ledger = Ledger(folder)
    ledger.write_study(run.study)
    if run.freeze:
        ledger.write_freeze(run.freeze)
    for record in (*run.searched, *run.confirmed):
        ledger.write(record)
    return folder


def _row(identifier: str, generator: random.Random) -> dict[str, object]:
    words = generator.sample(WORDS, 9)
    choices = [words[0], words[5], words[6], words[7]]
    generator.shuffle(choices)
    return {
        "id": identifier,
        "question_stem": " ".join(words[:5]),
        "choices": {"text": choices, "label": list("ABCD")},
        "answerKey": "ABCD"[choices.index(words[0])],
    }
