"""A trial from spec to record: complete, repeatable, alone on its workbench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.records.trial_record import Status, TrialRecord
from bench.strategy import Strategy
from bench.training.measure import trained_tensors
from bench.training.model import TaskModel
from bench.training.trial import score_test
from bench.training.worker_state import BATCHED_REPEATS, SINGLE_REPEATS, Workbench
from strategies.adapter import Adapter
from strategies.bitfit import BitFit
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.helpers.tiny import tiny
from tests.helpers.trials import (
    CHOICES,
    HEAD,
    INSTALLED,
    Done,
    Ends,
    each_strategy,
    make_questions,
    make_spec,
    make_workbench,
    run,
)


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every installed strategy, each on a workbench of its own."""
    folder = tmp_path_factory.mktemp("completed")
    return {s.name: run(make_spec(s), make_workbench(), folder) for s in INSTALLED}


OTHERS: list[Strategy] = [
    LoRA(targets="all_linear", init="gaussian", dropout=0.1),
    Prefix(length=3),
    Prompt(length=3),
    Prompt(double_embedding=True),
    Adapter(placement="houlsby"),
    Adapter(placement="post_hoc"),
    Full(),
    BitFit(),
]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A workbench that ran ten trials, two of which failed half way."""
    workbench, folder = make_workbench(), tmp_path_factory.mktemp("others")
    ends = [
        run(make_spec(strategy, seed=5, learning_rate=0.1), workbench, folder).record.status
        for strategy in [*OTHERS, Ends(error="ValueError"), Ends(error="NaN")]
    ]
    assert ends == [Status.COMPLETED] * 8 + [Status.FAILED, Status.DIVERGED]
    return workbench


@each_strategy
def test_a_completed_trial_leaves_nothing_out(
    strategy: Strategy, completed: dict[str, Done]
) -> None:
    record = completed[strategy.name].record
    assert (record.status, record.reason, record.traceback) == (Status.COMPLETED, None, None)
    assert record.accuracy
    assert record.seconds
    assert record.inference
    assert record.environment
    assert record.peak_bytes is not None
    assert len(record.accuracy.per_epoch) == record.epochs == 2
    assert len(record.accuracy.predictions) == 40
    spans = record.seconds
    assert min(spans.load, spans.train, spans.validation, spans.checkpoint) > 0
    assert spans.train_per_question == pytest.approx(spans.train / 48)
    assert not spans.device_shared
    assert record.inference.single.batch_size == 1
    assert record.inference.batched.batch_size == 8
    assert record.inference.batched.repeats == BATCHED_REPEATS == 10  # two times five batches
    assert (record.inference.undeployed is not None) == (strategy.name == "lora")
    assert record.inference.single.repeats == SINGLE_REPEATS
    throughput = record.inference.questions_per_second * record.inference.seconds
    assert throughput == pytest.approx(40)
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record


@each_strategy
def test_the_counts_are_those_of_strategy_and_head(
    strategy: Strategy, completed: dict[str, Done]
) -> None:
    done = completed[strategy.name]
    counts = done.record.parameters
    assert counts
    pretrained = sum(p.numel() for p in tiny("bert").parameters())
    adapted = list(strategy.adapt(tiny("bert")).parameters())
    learnt = [p for p in adapted if p.requires_grad]
    assert counts.head == HEAD
    assert counts.trained == sum(p.numel() for p in learnt) + HEAD
    assert counts.trained_tensors == len(learnt) + 2
    assert counts.total == sum(p.numel() for p in adapted) + HEAD
    assert counts.added == counts.total - pretrained
    left = HEAD if strategy.name == "lora" else counts.added
    assert counts.added_at_inference == left
    assert counts.stored_bytes == done.checkpoint.stat().st_size


@each_strategy
def test_the_chosen_epoch_is_the_first_of_the_best(
    strategy: Strategy, completed: dict[str, Done]
) -> None:
    told = completed[strategy.name].record.accuracy
    assert told
    assert told.validation == max(told.per_epoch)
    assert told.best_epoch == told.per_epoch.index(told.validation) + 1
    right = np.array(told.predictions) == make_questions(40, seed=2).answers
    assert told.validation == pytest.approx(right.mean())


def test_of_equal_epochs_the_first_is_chosen(tmp_path: Path) -> None:
    told = run(make_spec(Linear(), learning_rate=1e-12), make_workbench(), tmp_path).record.accuracy
    assert told
    assert told.per_epoch == (told.before, told.before)
    assert told.best_epoch == 1


@each_strategy
def test_the_checkpoint_holds_what_was_trained_and_answers_as_the_trial_did(
    strategy: Strategy, completed: dict[str, Done]
) -> None:
    done, workbench = completed[strategy.name], make_workbench()
    stored = load_file(done.checkpoint)
    assert stored.keys() == trained_tensors(workbench.adapted(done.spec)).keys()
    assert all(tensor.dtype == torch.float32 for tensor in stored.values())
    score = score_test(done.spec, workbench, done.checkpoint, workbench.validation.split, "data")
    told = done.record.accuracy
    assert told
    assert score.predictions == told.predictions
    assert (score.accuracy, score.data) == (told.validation, "data")


def test_the_epoch_that_is_stored_is_not_simply_the_last(completed: dict[str, Done]) -> None:
    told = [done.record.accuracy for done in completed.values()]
    assert any(a is not None and a.per_epoch[-1] < a.validation for a in told)


def test_a_checkpoint_of_another_strategy_is_refused(
    completed: dict[str, Done], tmp_path: Path
) -> None:
    workbench = make_workbench()
    with pytest.raises(ValueError, match="do not fit the model"):
        score_test(
            completed["lora"].spec,
            workbench,
            completed["linear"].checkpoint,
            workbench.validation.split,
            "data",
        )
    cut = load_file(completed["lora"].checkpoint)
    del cut["head.bias"]
    save_file(cut, tmp_path / "cut")
    with pytest.raises(ValueError, match=r"head\.bias"):
        score_test(
            completed["lora"].spec, workbench, tmp_path / "cut", workbench.validation.split, "data"
        )


@each_strategy
def test_the_same_trial_gives_the_same_on_a_workbench_that_ran_others(
    strategy: Strategy, completed: dict[str, Done], used: Workbench, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    fresh, again = completed[strategy.name], run(make_spec(strategy), used, tmp_path)
    assert again.record.accuracy == fresh.record.accuracy
    assert again.record.parameters == fresh.record.parameters
    assert again.checkpoint.read_bytes() == fresh.checkpoint.read_bytes()


def test_a_backbone_that_learns_nothing_reads_each_question_once(tmp_path: Path) -> None:
    workbench, passes = make_workbench(), []
    real = TaskModel.read

    def read(self: TaskModel, inputs: Any) -> Tensor:
        passes.append(len(inputs["input_ids"]))
        return real(self, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskModel, "read", read)
        patch.setattr(Workbench, "deploy", lambda *_: None)
        first = run(make_spec(Linear(), epochs=4), workbench, tmp_path)
        assert sum(passes) == (24 + 40) * CHOICES
        second = run(make_spec(Linear(), epochs=4, learning_rate=1e-3), workbench, tmp_path)
        assert sum(passes) == (24 + 40) * CHOICES
        run(make_spec(Linear(), seed=1), workbench, tmp_path)
        assert sum(passes) == 2 * (24 + 40) * CHOICES
    assert first.record.status is second.record.status is Status.COMPLETED
    assert first.checkpoint.read_bytes() != second.checkpoint.read_bytes()


def test_another_seed_gives_other_weights(completed: dict[str, Done], tmp_path: Path) -> None:
    other = run(make_spec(Linear(), seed=1), make_workbench(), tmp_path)
    assert other.checkpoint.read_bytes() != completed["linear"].checkpoint.read_bytes()


def test_what_is_deployed_and_timed_is_what_is_stored(
    completed: dict[str, Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {name: done.record.accuracy for name, done in completed.items()}
    name = next(n for n, a in told.items() if a is not None and a.best_epoch < len(a.per_epoch))
    deployed: dict[str, Tensor] = {}
    real = Workbench.deploy

    def deploy(self: Workbench, strategy: Strategy, model: Any, stopwatch: Any) -> Any:
        deployed.update({n: t.clone() for n, t in trained_tensors(model).items()})
        return real(self, strategy, model, stopwatch)

    monkeypatch.setattr(Workbench, "deploy", deploy)
    stored = load_file(run(completed[name].spec, make_workbench(), tmp_path).checkpoint)
    assert stored.keys() == deployed.keys()
    assert all(torch.equal(stored[n], deployed[n]) for n in stored)


def test_the_backbone_of_a_used_workbench_is_bit_identical(used: Workbench) -> None:
    now, before = used.backbone.state_dict(), tiny("bert").state_dict()
    assert list(now) == list(before)
    assert all(torch.equal(now[name], before[name]) for name in before)
    assert all(parameter.requires_grad for parameter in used.backbone.parameters())
    assert not used.backbone.training
    config = tiny("bert").config
    assert used.backbone.config.to_dict() == config.to_dict()
    assert used.backbone.config._attn_implementation == config._attn_implementation
