"""What our pages say of strategies, models and rows, held against the code."""

from __future__ import annotations

import json
import re

import pytest

from bench.anatomy import skeleton
from bench.data.rows import examples_of, numbered
from bench.data.tasks.multiple_choice import question_from_row
from bench.pretrained.source import locate
from bench.strategy import find_strategy, installed_strategies
from bench.training.measure import count
from tests.helpers.pages import PAGES, ROOT, blocks
from tests.helpers.tiny import CONFIGS

CHOOSE = (ROOT / "docs" / "choose-a-method.md").read_text(encoding="utf-8")
MODELS = (ROOT / "docs" / "bring-a-model.md").read_text(encoding="utf-8")
TRAINED = re.compile(r"^\| `(\w+)` \|.*\| ([\d,]+) \|", re.MULTILINE)
REFUSED = re.compile(r"^\| `([\w:]+)`( (?:on|where) [^|]*)\|", re.MULTILINE)
FAMILIES = {
    "bert": "BERT",
    "roberta": "RoBERTa",
    "distilbert": "DistilBERT",
    "electra": "ELECTRA",
    "deberta-v2": "DeBERTa",
    "modernbert": "ModernBERT",
    "albert": "ALBERT",
    "mpnet": "MPNet",
    "qwen3": "Qwen3",
    "llama": "Llama",
}


def test_the_table_of_methods_counts_what_each_trains_of_the_bundled_model() -> None:
    config = locate("bundled").config()
    told = {name: int(number.replace(",", "")) for name, number in TRAINED.findall(CHOOSE)}
    assert told.keys() == installed_strategies().found.keys()
    for name, number in told.items():
        adapted = find_strategy(name)().adapt(skeleton(config))
        trained = count(p for p in adapted.parameters() if p.requires_grad)
        assert trained + config.hidden_size + 1 == number, name


@pytest.mark.parametrize(("name", "where"), REFUSED.findall(MODELS))
def test_the_families_that_a_strategy_refuses_are_those_of_the_page(name: str, where: str) -> None:
    told = {family for family, known in FAMILIES.items() if re.search(rf"\b{known}\b", where)}
    refused = {f for f in CONFIGS if find_strategy(name)().refuse(CONFIGS[f]()) is not None}
    assert told == refused


def test_the_families_that_the_page_says_are_tested_are() -> None:
    (sentence,) = re.findall(r"Ten families are tested[^.]*\.", MODELS)
    told = {f for f, known in FAMILIES.items() if re.search(rf"\b{known}\b", sentence)}
    assert told == CONFIGS.keys()
    assert len(REFUSED.findall(MODELS)) == 3


def test_rows_of_questions_are_read_as_they_are_shown() -> None:
    shown = [line for page in PAGES for block in blocks(page, "json") for line in block.split("\n")]
    lines = [line for line in shown if line]
    faults: list[str] = []
    rows = numbered(map(json.loads, lines))
    questions = examples_of("page", rows, question_from_row, faults)
    assert faults == []
    assert len(questions) == len(lines) > 0
