"""A trial from spec to record: complete, repeatable, alone on its workbench, told if it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.errors import TrialDiverged
from bench.measure import trained_tensors
from bench.record import Status, TrainSettings, TrialRecord, TrialSpec
from bench.strategy import Strategy, installed_strategies
from bench.tokens import TokenSplit, batches, evaluation_order
from bench.trial import Progress, Trial, score_test
from bench.workbench import SINGLE_REPEATS, Workbench
from strategies.adapter import Adapter
from strategies.bitfit import BitFit
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA, LowRankLinear
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.tiny import VOCABULARY, WIDTH, tiny

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

CHOICES = 4
HEAD = WIDTH + 1
INSTALLED: list[Strategy] = [strategy() for strategy in installed_strategies().found.values()]

each_strategy = pytest.mark.parametrize("strategy", INSTALLED, ids=lambda s: s.name)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A trial that has ended."""

    spec: TrialSpec
    record: TrialRecord
    checkpoint: Path


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _questions(count: int, seed: int) -> TokenSplit:
    """Random words without meaning, in sequences of unequal length."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 9, count * CHOICES)
    return TokenSplit(
        tokens=generator.integers(3, VOCABULARY, lengths.sum(), dtype=np.int32),
        types=None,
        starts=np.cumsum([0, *lengths], dtype=np.int32),
        first=np.arange(0, count * CHOICES + 1, CHOICES, dtype=np.int32),
        answers=generator.integers(0, CHOICES, count, dtype=np.int32),
        truncated=0,
    )


def _workbench(family: str = "bert", **changes: Any) -> Workbench:
    parts: dict[str, Any] = {
        "backbone": tiny(family),
        "train": _questions(24, seed=1),
        "validation": _questions(40, seed=2),
        "device": torch.device("cpu"),
        "precision": "fp32",
        "device_shared": False,
    }
    return Workbench(**parts | changes)


def _spec(
    strategy: Strategy, *, seed: int = 0, learning_rate: float = 1e-2, **settings: Any
) -> TrialSpec:
    return TrialSpec(
        study="study",
        arm=strategy.name,
        number=0,
        strategy=strategy,
        learning_rate=learning_rate,
        seed=seed,
        settings=TrainSettings(**{"epochs": 2, "batch_size": 8, "pooling": "mean"} | settings),
        data="data",
        model="model",
        code="code",
        context="context",
    )


def _run(spec: TrialSpec, workbench: Workbench, folder: Path) -> Done:
    checkpoint = folder / f"{len(list(folder.iterdir()))}.safetensors"
    trial = Trial(spec, workbench, checkpoint)
    progress = trial.advance()
    while progress.record is None:
        progress = trial.advance()
    return Done(spec=spec, record=progress.record, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """Every installed strategy, each on a workbench of its own."""
    folder = tmp_path_factory.mktemp("completed")
    return {s.name: _run(_spec(s), _workbench(), folder) for s in INSTALLED}


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
    workbench, folder = _workbench(), tmp_path_factory.mktemp("others")
    ends = [
        _run(_spec(strategy, seed=5, learning_rate=0.1), workbench, folder).record.status
        for strategy in [*OTHERS, Ends(error="ValueError"), Ends(error="NaN")]
    ]
    assert ends == [Status.COMPLETED] * 8 + [Status.FAILED, Status.DIVERGED]
    return workbench


class Ending(nn.Module):
    """A backbone that ends its trial in a given way when it first computes."""

    def __init__(self, backbone: PreTrainedModel, error: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.error = error

    def forward(self, **inputs: Tensor) -> Any:
        if self.error == "allocation":
            torch.empty(10**15)
        if self.error in ERRORS:
            raise ERRORS[self.error]
        states = self.backbone(**inputs)
        if self.error == "NaN" and self.training:
            states.last_hidden_state = states.last_hidden_state * torch.nan
        return states


ERRORS: dict[str, Exception] = {
    "ValueError": ValueError("one line\nand another"),
    "MemoryError": MemoryError(),
    "OutOfMemoryError": torch.OutOfMemoryError("tried to allocate 2 GiB"),
    "TrialDiverged": TrialDiverged(3, float("inf")),
}


@dataclass(frozen=True, kw_only=True)
class Ends(Strategy):
    """Ends its trial in the way it is asked to."""

    name: ClassVar[str] = "ends"
    paper: ClassVar[str] = "https://example.org"

    error: str = "ValueError"

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        for parameter in backbone.parameters():
            parameter.data = parameter.data + 1
        if self.error == "in adapt":
            raise ValueError("no such layer")
        return Ending(backbone, self.error)

    def refuse(self, config: PretrainedConfig) -> str | None:
        return "not on a Sunday" if self.error == "refuse" else None


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
    assert record.inference.batched.batch_size == 32
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
    right = np.array(told.predictions) == _questions(40, seed=2).answers
    assert told.validation == pytest.approx(right.mean())


def test_of_equal_epochs_the_first_is_chosen(tmp_path: Path) -> None:
    told = _run(_spec(Linear(), learning_rate=1e-12), _workbench(), tmp_path).record.accuracy
    assert told
    assert told.per_epoch == (told.before, told.before)
    assert told.best_epoch == 1


@each_strategy
def test_the_checkpoint_holds_what_was_trained_and_answers_as_the_trial_did(
    strategy: Strategy, completed: dict[str, Done]
) -> None:
    done, workbench = completed[strategy.name], _workbench()
    stored = load_file(done.checkpoint)
    assert stored.keys() == trained_tensors(workbench.adapted(done.spec)).keys()
    assert all(tensor.dtype == torch.float32 for tensor in stored.values())
    score = score_test(done.spec, workbench, done.checkpoint, workbench.validation, "data")
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
    workbench = _workbench()
    with pytest.raises(ValueError, match="do not fit the model"):
        score_test(
            completed["lora"].spec,
            workbench,
            completed["linear"].checkpoint,
            workbench.validation,
            "data",
        )
    cut = load_file(completed["lora"].checkpoint)
    del cut["head.bias"]
    save_file(cut, tmp_path / "cut")
    with pytest.raises(ValueError, match=r"head\.bias"):
        score_test(
            completed["lora"].spec, workbench, tmp_path / "cut", workbench.validation, "data"
        )


@each_strategy
def test_the_same_trial_gives_the_same_on_a_workbench_that_ran_others(
    strategy: Strategy, completed: dict[str, Done], used: Workbench, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    fresh, again = completed[strategy.name], _run(_spec(strategy), used, tmp_path)
    assert again.record.accuracy == fresh.record.accuracy
    assert again.record.parameters == fresh.record.parameters
    assert again.checkpoint.read_bytes() == fresh.checkpoint.read_bytes()


def test_another_seed_gives_other_weights(completed: dict[str, Done], tmp_path: Path) -> None:
    other = _run(_spec(Linear(), seed=1), _workbench(), tmp_path)
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
    stored = load_file(_run(completed[name].spec, _workbench(), tmp_path).checkpoint)
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


@pytest.mark.parametrize("error", ["ValueError", "in adapt"])
def test_a_strategy_that_raises_is_a_failed_trial_with_its_traceback(
    error: str, tmp_path: Path
) -> None:
    record = _run(_spec(Ends(error=error)), _workbench(), tmp_path).record
    assert record.status is Status.FAILED
    first_line = "one line" if error == "ValueError" else "no such layer"
    assert record.reason == f"ValueError: {first_line}"
    assert record.traceback
    assert "test_trial.py" in record.traceback
    assert record.accuracy is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strategy", [BitFit(), Ends(error="refuse")], ids=lambda s: s.name)
def test_a_strategy_that_refuses_is_skipped_with_its_reason(
    strategy: Strategy, tmp_path: Path
) -> None:
    workbench = _workbench("llama")
    record = _run(_spec(strategy, pooling="last"), workbench, tmp_path).record
    assert record.status is Status.SKIPPED
    assert record.reason == strategy.refuse(workbench.backbone.config)
    assert record.traceback is None


def test_a_loss_that_is_no_number_is_a_diverged_trial(tmp_path: Path) -> None:
    record = _run(_spec(Ends(error="NaN")), _workbench(), tmp_path).record
    assert (record.status, record.reason) == (Status.DIVERGED, "the loss became nan at step 0")
    record = _run(_spec(Full(), learning_rate=1e30), _workbench(), tmp_path).record
    assert record.status is Status.DIVERGED


@pytest.mark.parametrize("error", ["MemoryError", "OutOfMemoryError", "allocation"])
def test_a_batch_that_does_not_fit_is_told_with_its_size(error: str, tmp_path: Path) -> None:
    record = _run(_spec(Ends(error=error), batch_size=7), _workbench(), tmp_path).record
    assert record.status is Status.OUT_OF_MEMORY
    assert record.reason
    assert record.reason.startswith("batch of 7 questions does not fit: ")


def test_progress_tells_each_epoch_and_the_record_with_the_last(tmp_path: Path) -> None:
    trial = Trial(_spec(Linear(), epochs=3), _workbench(), tmp_path / "checkpoint")
    told: list[Progress] = [trial.advance() for _ in range(3)]
    assert [progress.epoch for progress in told] == [1, 2, 3]
    assert [progress.record is None for progress in told] == [True, True, False]
    record = told[-1].record
    assert record
    assert record.accuracy
    assert record.accuracy.per_epoch == tuple(progress.validation for progress in told)


@each_strategy
def test_a_trial_computes_in_bf16_and_stores_in_float32(strategy: Strategy, tmp_path: Path) -> None:
    workbench = _workbench(precision="bf16")
    done = _run(_spec(strategy), workbench, tmp_path)
    assert done.record.status is Status.COMPLETED, done.record.traceback
    assert done.record.environment
    assert done.record.environment.precision == "bf16"
    assert all(t.dtype == torch.float32 for t in load_file(done.checkpoint).values())
    assert all(p.dtype == torch.float32 for p in workbench.backbone.parameters())
    for parameter in workbench.adapted(done.spec).parameters():
        halved = parameter.ndim >= 2 and not parameter.requires_grad
        assert parameter.dtype == (torch.bfloat16 if halved else torch.float32)
    score = score_test(done.spec, workbench, done.checkpoint, workbench.validation, "data")
    assert done.record.accuracy
    assert score.predictions == done.record.accuracy.predictions


@pytest.mark.parametrize("strategy", [Full(), LoRA(), Prefix(), Prompt()], ids=lambda s: s.name)
def test_a_decoder_is_read_at_its_last_token(strategy: Strategy, tmp_path: Path) -> None:
    record = _run(_spec(strategy, pooling="last"), _workbench("qwen3"), tmp_path).record
    assert record.status is Status.COMPLETED, record.traceback


def test_equal_seeds_give_equal_heads_whatever_the_strategy() -> None:
    workbench = _workbench()
    heads = [workbench.adapted(_spec(strategy, seed=3)).head for strategy in INSTALLED]
    assert all(torch.equal(head.weight, heads[0].weight) for head in heads)
    assert all(torch.equal(head.bias, heads[0].bias) for head in heads)
    assert not torch.equal(workbench.adapted(_spec(Full(), seed=4)).head.weight, heads[0].weight)


@torch.no_grad()
def test_deployed_lora_gives_the_logits_of_the_undeployed() -> None:
    workbench, strategy = _workbench(), LoRA(targets="all_linear")
    model = workbench.adapted(_spec(strategy)).eval()
    split = workbench.validation
    [batch] = batches(split, evaluation_order(split, split.questions))
    plain = model(batch)
    torch.manual_seed(0)
    for tensor in trained_tensors(model).values():
        tensor.add_(torch.randn_like(tensor) * 0.1)
    undeployed = model(batch)
    assert not torch.allclose(undeployed, plain, atol=1e-2)
    told = workbench.deploy(strategy, model, workbench.stopwatch())
    torch.testing.assert_close(model(batch), undeployed, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    assert told.undeployed is not None
    assert workbench.deploy(Full(), model, workbench.stopwatch()).undeployed is None


def test_a_trial_learns_what_it_can_remember(tmp_path: Path) -> None:
    questions = _questions(24, seed=1)
    workbench = _workbench(train=questions, validation=questions)
    spec = _spec(Full(), learning_rate=5e-3, epochs=12, head_dropout=0.0)
    told = _run(spec, workbench, tmp_path).record.accuracy
    assert told
    assert told.before < 0.6
    assert told.validation > 0.9
