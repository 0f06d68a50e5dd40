"""How trials end, and on what they run: failures as records, bf16, decoders, equal heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bench.data.tokens import TokenSplit
from bench.records.trial_record import Status
from bench.strategy import Strategy
from bench.training.measure import trained_tensors
from bench.training.trial import Progress, Trial, score_test
from strategies.bitfit import BitFit
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA, LowRankLinear
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.helpers.peft_methods import peft
from tests.helpers.tiny import tiny
from tests.helpers.trials import (
    INSTALLED,
    Ends,
    each_strategy,
    make_questions,
    make_spec,
    make_workbench,
    run,
)


@pytest.mark.parametrize("error", ["ValueError", "in adapt"])
def test_a_strategy_that_raises_is_a_failed_trial_with_its_traceback(
    error: str, tmp_path: Path
) -> None:
    record = run(make_spec(Ends(error=error)), make_workbench(), tmp_path).record
    assert record.status is Status.FAILED
    first_line = "one line" if error == "ValueError" else "no such layer"
    assert record.reason == f"ValueError: {first_line}"
    assert record.traceback
    assert "trials.py" in record.traceback
    assert record.accuracy is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strategy", [BitFit(), Ends(error="refuse")], ids=lambda s: s.name)
def test_a_strategy_that_refuses_is_skipped_with_its_reason(
    strategy: Strategy, tmp_path: Path
) -> None:
    workbench = make_workbench("llama")
    record = run(make_spec(strategy, pooling="last"), workbench, tmp_path).record
    assert record.status is Status.SKIPPED
    assert record.reason == strategy.refuse(workbench.backbone.config)
    assert record.traceback is None


def test_a_strategy_that_needs_a_cache_is_skipped_where_blocks_are_computed_again(
    tmp_path: Path,
) -> None:
    spec = make_spec(peft("prefix_tuning"), gradient_checkpointing=True)
    record = run(spec, make_workbench(), tmp_path).record
    assert record.status is Status.SKIPPED
    assert record.reason
    assert "leave --gradient-checkpointing out" in record.reason


def test_a_loss_that_is_no_number_is_a_diverged_trial(tmp_path: Path) -> None:
    record = run(make_spec(Ends(error="NaN")), make_workbench(), tmp_path).record
    assert (record.status, record.reason) == (Status.DIVERGED, "the loss became nan at step 0")
    record = run(make_spec(Full(), learning_rate=1e30), make_workbench(), tmp_path).record
    assert record.status is Status.DIVERGED


@pytest.mark.parametrize("error", ["MemoryError", "OutOfMemoryError", "allocation"])
def test_a_batch_that_does_not_fit_is_told_with_its_size(error: str, tmp_path: Path) -> None:
    record = run(make_spec(Ends(error=error), batch_size=7), make_workbench(), tmp_path).record
    assert record.status is Status.OUT_OF_MEMORY
    assert record.reason
    assert record.reason.startswith("batch of 7 questions does not fit: ")


def test_a_trial_short_of_memory_goes_on_in_parts_only_if_asked_and_says_so(
    tmp_path: Path,
) -> None:
    spec = make_spec(Ends(error="crowded"), micro_batch="auto")
    record = run(spec, make_workbench(), tmp_path).record
    assert (record.status, record.micro_batch) == (Status.COMPLETED, 2)
    whole = run(make_spec(Ends(error="crowded")), make_workbench(), tmp_path).record
    assert whole.status is Status.OUT_OF_MEMORY
    easy = run(make_spec(BitFit(), micro_batch="auto"), make_workbench(), tmp_path).record
    assert (easy.status, easy.micro_batch) == (Status.COMPLETED, None)


def test_progress_tells_each_epoch_and_the_record_with_the_last(tmp_path: Path) -> None:
    trial = Trial(make_spec(Linear(), epochs=3), make_workbench(), tmp_path / "checkpoint")
    told: list[Progress] = [trial.advance() for _ in range(3)]
    assert [progress.epoch for progress in told] == [1, 2, 3]
    assert [progress.ended for progress in told] == [False, False, True]
    assert [progress.record.status for progress in told] == ["pruned", "pruned", "completed"]
    record = told[-1].record
    assert record.accuracy
    assert record.accuracy.per_epoch == tuple(progress.validation for progress in told)
    stopped_after_two = told[1].record
    assert stopped_after_two.accuracy
    assert stopped_after_two.accuracy.per_epoch == record.accuracy.per_epoch[:2]
    assert stopped_after_two.reason == "stopped after 2 of 3 epochs"
    assert stopped_after_two.parameters
    assert record.parameters
    assert stopped_after_two.parameters.trained == record.parameters.trained
    assert stopped_after_two.inference is None


@each_strategy
def test_a_trial_computes_in_bf16_and_stores_in_float32(strategy: Strategy, tmp_path: Path) -> None:
    workbench = make_workbench(precision="bf16")
    done = run(make_spec(strategy), workbench, tmp_path)
    assert done.record.status is Status.COMPLETED, done.record.traceback
    assert done.record.environment
    assert done.record.environment.precision == "bf16"
    assert all(t.dtype == torch.float32 for t in load_file(done.checkpoint).values())
    assert all(p.dtype == torch.float32 for p in workbench.backbone.parameters())
    for parameter in workbench.adapted(done.spec).parameters():
        halved = parameter.ndim >= 2 and not parameter.requires_grad
        assert parameter.dtype == (torch.bfloat16 if halved else torch.float32)
    score = score_test(done.spec, workbench, done.checkpoint, workbench.validation.split, "data")
    assert done.record.accuracy
    assert score.predictions == done.record.accuracy.predictions


@pytest.mark.parametrize("strategy", [Full(), LoRA(), Prefix(), Prompt()], ids=lambda s: s.name)
def test_a_decoder_is_read_at_its_last_token(strategy: Strategy, tmp_path: Path) -> None:
    record = run(make_spec(strategy, pooling="last"), make_workbench("qwen3"), tmp_path).record
    assert record.status is Status.COMPLETED, record.traceback


def test_equal_seeds_give_equal_heads_whatever_the_strategy() -> None:
    workbench = make_workbench()
    heads = [workbench.adapted(make_spec(strategy, seed=3)).head for strategy in INSTALLED]
    assert all(torch.equal(head.weight, heads[0].weight) for head in heads)
    assert all(torch.equal(head.bias, heads[0].bias) for head in heads)
    assert not torch.equal(
        workbench.adapted(make_spec(Full(), seed=4)).head.weight, heads[0].weight
    )


@torch.no_grad()
def test_deployed_lora_gives_the_logits_of_the_undeployed() -> None:
    workbench, strategy = make_workbench(), LoRA(targets="all_linear")
    model = workbench.adapted(make_spec(strategy)).eval()
    [batch] = workbench.validation.shortest_first(workbench.validation.split.examples)
    plain = model(batch)
    torch.manual_seed(0)
    for tensor in trained_tensors(model).values():
        tensor.add_(torch.randn_like(tensor) * 0.1)
    undeployed = model(batch)
    assert not torch.allclose(undeployed, plain, atol=1e-2)
    told = workbench.deploy(make_spec(strategy), model, workbench.stopwatch())
    torch.testing.assert_close(model(batch), undeployed, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    assert told.undeployed is not None
    assert workbench.deploy(make_spec(Full()), model, workbench.stopwatch()).undeployed is None


def test_a_trial_learns_what_it_can_remember(tmp_path: Path) -> None:
    questions = make_questions(24, seed=1)
    workbench = make_workbench(train=questions, validation=questions)
    spec = make_spec(Full(), learning_rate=5e-3, epochs=12, head_dropout=0.0)
    told = run(spec, workbench, tmp_path).record.accuracy
    assert told
    assert told.before < 0.6
    assert told.validation > 0.9


def test_a_trial_with_a_fresh_seed_is_timed_more_often_and_in_both_forms_at_both_sizes() -> None:
    workbench, strategy = make_workbench(), LoRA()
    told = {}
    for confirms in (None, "a" * 16):
        spec = replace(make_spec(strategy), confirms=confirms)
        told[confirms] = workbench.deploy(spec, workbench.adapted(spec), workbench.stopwatch())

    quick, thorough = told.values()
    assert (quick.single.repeats, quick.batched.repeats) == (10, 10)
    assert quick.undeployed_batched is None
    forms = (thorough.single, thorough.batched, thorough.undeployed, thorough.undeployed_batched)
    assert [form and form.repeats for form in forms] == [30, 30, 30, 30]
    assert thorough.undeployed_batched is not None
    assert thorough.undeployed_batched.batch_size == thorough.batched.batch_size


def long_texts(tokens: int) -> TokenSplit:
    """Eight single choices of so many tokens."""
    return TokenSplit(
        tokens=np.full(8 * tokens, 5, dtype=np.int32),
        types=None,
        starts=np.arange(0, 8 * tokens + 1, tokens, dtype=np.int32),
        first=np.arange(9, dtype=np.int32),
        answers=np.zeros(8, dtype=np.int32),
        truncated=0,
    )


@pytest.mark.parametrize(
    ("strategy", "taken"),
    [
        (Prompt(length=8), 8),
        (peft("prompt_tuning", num_virtual_tokens=8), 8),
        (peft("p_tuning", num_virtual_tokens=8), 8),
        (peft("prefix_tuning", num_virtual_tokens=8), 8),
        (Prefix(length=8), 0),
        (peft("ia3"), 0),
    ],
    ids=repr,
)
def test_a_prompt_for_which_the_texts_leave_no_positions_is_skipped_with_the_way_out(
    strategy: Strategy, taken: int, tmp_path: Path
) -> None:
    most = tiny("bert").config.max_position_embeddings
    for tokens in (most - taken, most):
        split = long_texts(tokens)
        bench = make_workbench(train=split, validation=split)
        record = run(make_spec(strategy, epochs=1), bench, tmp_path).record
        if tokens + taken <= most:
            assert record.status == "completed", record.traceback
        else:
            assert record.status == "skipped"
            assert record.reason == (
                f"8 positions before a text of {most} tokens are {most + 8}, the model has"
                f" {most}; --max-length {most - 8} leaves room"
            )
