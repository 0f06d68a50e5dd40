"""What every task promises, asked of each; and what a plug-in that keeps no promise is told."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from bench.data.batches import collate
from bench.data.tasks.multiple_choice import MultipleChoice, Question
from bench.data.tasks.sequence_classification import LabelledText, SequenceClassification
from bench.data.tokens import TokenSplit, tokenise
from bench.errors import PluginError, StudyError
from bench.metrics import ACCURACY, METRICS
from bench.pretrained.source import locate
from bench.records.spec import content_hash
from bench.study.provenance import code_fingerprint
from bench.task import GUESSING, AnyTask, Example, check_task, installed_tasks, known_task, task_of
from bench.training.model import TaskModel
from strategies.full import Full
from strategies.linear import Linear
from tests.helpers.folders import WORDS, write_model
from tests.helpers.tiny import WIDTH, tiny
from tests.helpers.trials import make_spec, make_workbench, run


def questions(count: int) -> list[Question]:
    return [
        Question(
            identifier=f"q{n}",
            text=" ".join(WORDS[n : n + 3]),
            choices=tuple(WORDS[n + c] for c in range(2 + n % 3)),
            answer=n % 2,
        )
        for n in range(count)
    ]


def texts(count: int, *, pairs: bool = False) -> list[LabelledText]:
    return [
        LabelledText(
            identifier=f"t{n}",
            text=" ".join(WORDS[n : n + 1 + n % 5]),
            pair=WORDS[-n] if pairs else None,
            label=("no", "yes", "maybe")[n % 3],
        )
        for n in range(count)
    ]


CASES: Mapping[str, Sequence[Example]] = {
    "multiple_choice": questions(24),
    "single texts": texts(24),
    "pairs of texts": texts(24, pairs=True),
}
KINDS: Mapping[str, type[AnyTask]] = {
    "multiple_choice": MultipleChoice,
    "single texts": SequenceClassification,
    "pairs of texts": SequenceClassification,
}
each = pytest.mark.parametrize("case", list(CASES))


def settled(case: str) -> AnyTask:
    return KINDS[case].settled(dict.fromkeys(("train", "validation", "test"), CASES[case]))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return locate(str(write_model(tmp_path_factory.mktemp("model")))).tokenizer()


def tokens(case: str, tokenizer: PreTrainedTokenizerBase) -> TokenSplit:
    return tokenise(settled(case), CASES[case], tokenizer, 32)


def test_every_task_of_ours_is_installed_and_sound() -> None:
    found = installed_tasks().found
    assert {"multiple_choice", "sequence_classification"} <= found.keys()
    for name, kind in found.items():
        assert check_task(name, kind) is kind
        assert known_task(name) is kind


def test_an_unknown_task_tells_the_known_ones() -> None:
    with pytest.raises(StudyError, match=r"'chess': no such task; installed are multiple_choice"):
        known_task("chess")


@each
def test_an_instance_travels_and_is_known_by_its_content(case: str) -> None:
    task = settled(case)
    assert pickle.loads(pickle.dumps(task)) == task
    assert hash(settled(case)) == hash(task)
    assert content_hash(task.identity) == content_hash(settled(case).identity)
    assert task.identity["task"] == task.name
    told = json.loads(json.dumps(task.settings))
    assert task_of(task.name, told) == task


@each
def test_logits_have_a_column_for_every_right_answer_and_a_finite_loss(
    case: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    task, split = settled(case), tokens(case, tokenizer)
    model = TaskModel(task, tiny("bert"), width=WIDTH, pooling="cls", dropout=0.0)
    batch = collate(split, np.arange(24, dtype=np.int32))
    logits = model(batch)
    assert logits.dtype == torch.float32
    assert len(logits) == 24
    assert logits.shape[1] > int(batch.answers.max())
    assert logits[torch.arange(24), batch.answers].isfinite().all()
    loss = task.loss(logits, batch.answers)
    parts = sum(task.loss(model(part), part.answers) for part in batch.parts(5))
    torch.testing.assert_close(loss, parts)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.head.parameters())


@each
@pytest.mark.parametrize("strategy", [Full(), Linear()], ids=lambda strategy: strategy.name)
def test_a_trial_comes_to_its_record_by_every_metric(
    case: str, strategy: Any, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    task, split = settled(case), tokens(case, tokenizer)
    bench = make_workbench(train=split, validation=split)
    for objective in task.metrics:
        spec = replace(make_spec(strategy), task=task, objective=objective)
        record = run(spec, bench, tmp_path).record
        assert record.status == "completed", record.traceback
        assert record.scores is not None
        assert record.accuracy is not None
        assert record.scores.validation.keys() == set(task.metrics)
        best = max(record.scores.per_epoch, key=METRICS[objective].rank)
        assert record.score == best
        assert record.accuracy.best_epoch == 1 + record.scores.per_epoch.index(best)
        assert record.scores.validation[ACCURACY] == record.accuracy.validation


@each
def test_what_can_be_remembered_is_learnt(
    case: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    split = tokens(case, tokenizer)
    bench = make_workbench(train=split, validation=split)
    spec = make_spec(Full(), learning_rate=5e-3, epochs=15, head_dropout=0.0)
    record = run(replace(spec, task=settled(case)), bench, tmp_path).record
    assert record.accuracy is not None
    assert record.accuracy.validation > 0.9


@each
def test_baselines_are_probabilities_and_begin_with_guessing(case: str) -> None:
    task, examples = settled(case), CASES[case]
    right = [task.answer(example) for example in examples]
    found = task.baselines(examples, examples)
    assert found[0].name == GUESSING
    for baseline in found:
        assert baseline.probabilities.sum(axis=1) == pytest.approx(np.ones(len(examples)))
        outcome = baseline.outcome(right)
        assert math.isclose(outcome.confusion.sum(), len(examples))
        assert 0 <= METRICS[ACCURACY].of(outcome) <= 1  # type: ignore[operator]


@each
def test_an_example_in_words_has_a_text_for_its_right_answer(case: str) -> None:
    task = settled(case)
    for example in CASES[case]:
        asked, answers = task.described(example)
        assert asked
        assert answers[task.answer(example)]


def test_task_objective_and_labels_are_in_the_fingerprint() -> None:
    spec = make_spec(Full())
    others = [
        replace(spec, task=SequenceClassification(labels=("a", "b"))),
        replace(spec, task=SequenceClassification(labels=("b", "a"))),
        replace(spec, objective="calibration_error"),
    ]
    assert len({spec.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert code_fingerprint(Full, MultipleChoice) != code_fingerprint(Full, Renamed)


@dataclass(frozen=True, kw_only=True)
class Renamed(MultipleChoice):
    name = "other"


@dataclass(frozen=True, kw_only=True)
class Unjudged(MultipleChoice):
    name = "unjudged"
    metrics = ("beauty",)


@dataclass(kw_only=True)
class _Loose:
    rows: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("name", "loaded", "told"),
    [
        ("x", _Loose, "is not a subclass of bench.task.Task"),
        ("x", Renamed, r"Renamed\.name must be 'x'"),
        ("unjudged", Unjudged, r"Unjudged\.metrics must be some of accuracy, macro_f1"),
        ("multiple_choice", MultipleChoice(), "is not a subclass"),
    ],
)
def test_a_plug_in_that_keeps_no_promise_is_told_which(name: str, loaded: Any, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        check_task(name, loaded)
