"""Blocks that are computed again give the gradients of blocks that are not, with less memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data.batches import collate
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.spec import Pooling
from bench.strategy import Strategy, installed_strategies
from bench.task import Batch
from bench.training.loop import autocast
from bench.training.model import TaskModel
from bench.training.speed.checkpointing import cannot_checkpoint
from bench.training.speed.cpu import kernels
from strategies.adapter import Adapter
from strategies.full import Full
from strategies.lora import LoRA
from strategies.prompt import Prompt
from tests.helpers.peft_methods import OTHERS, WELL_KNOWN
from tests.helpers.tiny import CONFIGS, WIDTH, tiny
from tests.helpers.trials import make_questions

CPU = torch.device("cpu")
STRATEGIES = [
    *(strategy() for strategy in installed_strategies().found.values()),
    Adapter(placement="post_hoc", bottleneck=8),
    LoRA(targets="all_linear", init="gaussian", dropout=0.2),
    Prompt(double_embedding=True, length=3),
]
UNABLE = {"albert", "mpnet"}
PAIRS = [
    (strategy, family)
    for strategy in STRATEGIES
    for family in CONFIGS
    if family not in UNABLE and strategy.refuse(CONFIGS[family]()) is None
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _batch() -> Batch:
    return collate(make_questions(6), np.arange(6, dtype=np.int32))


def _learner(strategy: Strategy, family: str, pooling: Pooling) -> TaskModel:
    torch.manual_seed(0)
    backbone = strategy.adapt(tiny(family))
    torch.manual_seed(1)
    model = TaskModel(MultipleChoice(), backbone, width=WIDTH, pooling=pooling, dropout=0.1)
    with torch.no_grad():
        model.eval().leave_out_unread(_batch().inputs)
    return model.train()


def _slopes(model: TaskModel, precision: str) -> dict[str, Tensor]:
    batch = _batch()
    torch.manual_seed(2)
    with autocast(CPU, precision), kernels(CPU, seed=3):
        loss = F.cross_entropy(model(batch), batch.answers)
    loss.backward()
    return {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("strategy", "family"), PAIRS, ids=lambda v: repr(v) if isinstance(v, Strategy) else v
)
def test_gradients_are_equal_with_dropout_and_what_nothing_reads_left_out(
    strategy: Strategy, family: str, precision: str
) -> None:
    found = []
    for checkpointed in (False, True):
        model = _learner(strategy, family, "cls")
        if checkpointed:
            model.checkpoint()
        found.append(_slopes(model, precision))
    plain, again = found
    assert plain.keys() == again.keys()
    assert len(plain) >= 2
    for name, slope in plain.items():
        assert torch.equal(again[name], slope), name


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # SHiRA
@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize(
    "strategy",
    [*WELL_KNOWN, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)],
    ids=lambda strategy: strategy.name,
)
def test_methods_of_peft_have_equal_gradients_unless_they_say_that_they_need_a_cache(
    strategy: Strategy, family: str
) -> None:
    if strategy.refuse(CONFIGS[family]()) is not None:
        pytest.skip("refused")
    plain = _slopes(_learner(strategy, family, "cls"), "fp32")
    model = _learner(strategy, family, "cls")
    model.checkpoint()
    if strategy.through_cache:
        with pytest.raises(RuntimeError):  # the mask is as long as if the cache were there
            _slopes(model, "fp32")
        return
    again = _slopes(model, "fp32")
    assert plain.keys() == again.keys()
    assert all(torch.equal(again[name], slope) for name, slope in plain.items())


def _computed(model: TaskModel) -> tuple[int, int]:
    """How often the first block's first layer computes in a pass and in all."""
    counts: list[bool] = []
    layer = next(m for m in model.backbone.modules() if isinstance(m, torch.nn.Linear))
    handle = layer.register_forward_hook(lambda *_: counts.append(True))
    batch = _batch()
    with kernels(CPU, seed=3):
        logits = model(batch)
    forward = len(counts)
    if logits.requires_grad:
        F.cross_entropy(logits, batch.answers).backward()
    handle.remove()
    return forward, len(counts)


def test_blocks_are_computed_again_in_training_only() -> None:
    model = _learner(Full(), "bert", "mean")
    assert _computed(model) == (1, 1)
    model.checkpoint()
    assert _computed(model) == (1, 2)
    assert _computed(model.eval()) == (1, 1)


def test_frozen_embeddings_do_not_ask_for_gradients_that_nothing_uses() -> None:
    model = _learner(LoRA(), "bert", "mean")
    model.checkpoint()
    seen: list[bool] = []
    block = model.get_submodule("backbone.encoder.layer.0")
    block.register_forward_pre_hook(lambda _, given: seen.append(given[0].requires_grad))
    assert len(_slopes(model, "fp32")) > 2
    assert seen == [False]


def test_each_recomputed_block_is_told() -> None:
    model, told = _learner(Full(), "bert", "mean"), []
    model.checkpoint()
    model.recomputed.append(lambda: told.append(torch.is_grad_enabled()))
    _slopes(model, "fp32")
    assert told == [True, True]


@pytest.mark.parametrize("family", CONFIGS)
def test_a_family_without_support_is_named_before_anything_runs(family: str) -> None:
    reason = cannot_checkpoint(CONFIGS[family]())
    assert (reason is None) == (family not in UNABLE)
    assert reason is None or "Model" in reason
