"""Compiled trials: the same numbers, forms made before the clock, one form for all widths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.nn import functional as F

from bench.batches import Batch, collate
from bench.compiling import cannot_compile, compiled, extremes
from bench.cpu import kernels
from bench.model import TaskModel
from bench.record import Status
from bench.strategy import Strategy
from bench.tasks.multiple_choice import MultipleChoice
from bench.tokens import TokenSplit
from bench.workbench import Workbench
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from strategies.prefix import Prefix
from tests.tiny import VOCABULARY, WIDTH, tiny
from tests.trials import Ends, make_spec, make_workbench, run

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.*` is deprecated:DeprecationWarning"  # torch's compiler on import
)


@pytest.fixture(autouse=True)
def _own_compiler() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.compiler.reset()
    counters.clear()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=False):
        yield
    torch.compiler.reset()
    torch.set_num_threads(threads)


@pytest.fixture
def compiler() -> None:
    reason = cannot_compile()
    if reason is not None:
        pytest.skip(reason)


def _split(questions: int, seed: int) -> TokenSplit:
    """Texts of 3 to 40 words, all choices of a question alike, so that batches differ in width."""
    generator = np.random.default_rng(seed)
    lengths = np.repeat(generator.integers(3, 41, questions), 4)
    return TokenSplit(
        tokens=generator.integers(3, VOCABULARY, lengths.sum(), dtype=np.int32),
        types=None,
        starts=np.cumsum([0, *lengths], dtype=np.int32),
        first=np.arange(0, 4 * questions + 1, 4, dtype=np.int32),
        answers=generator.integers(0, 4, questions, dtype=np.int32),
        truncated=0,
    )


SPLIT = _split(24, seed=1)
BATCHES = [collate(SPLIT, np.arange(n, min(n + 5, 24), dtype=np.int32)) for n in range(0, 24, 5)]


def _slopes(strategy: Strategy, batches: list[Batch], compile_it: bool) -> list[Tensor]:
    torch.manual_seed(0)
    model = TaskModel(
        MultipleChoice(), strategy.adapt(tiny("bert")), width=WIDTH, pooling="cls", dropout=0
    )
    with torch.no_grad():
        model.eval().leave_out_unread(batches[0].inputs)
    if compile_it:
        model.compile_backbone()
    found: list[Tensor] = []
    for batch in batches:  # in evaluation, so that nothing is dropped
        with kernels(CPU):
            logits = model(batch)
        slopes = torch.autograd.grad(
            F.cross_entropy(logits, batch.answers),
            [weight for weight in model.parameters() if weight.requires_grad],
            allow_unused=True,
        )
        found += [logits.detach(), *(slope for slope in slopes if slope is not None)]
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("strategy", [Full(), LoRA(init="gaussian")], ids=repr)
def test_logits_and_gradients_are_those_of_the_uncompiled_model(strategy: Strategy) -> None:
    plain, same = (_slopes(strategy, BATCHES, compile_it) for compile_it in (False, True))
    assert len(plain) == len(same)
    for expected, found in zip(plain, same, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] <= 2


def _noting_forms(workbench: Workbench) -> list[int]:
    """Forms there are once a trial's have been made ahead."""
    made: list[int] = []
    compile_ahead = workbench.compile

    def noting(*arguments: Any) -> None:
        compile_ahead(*arguments)
        made.append(counters["stats"]["unique_graphs"])

    workbench.compile = noting  # type: ignore[method-assign]
    return made


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    ("strategy", "family", "settings"),
    [
        (LoRA(dropout=0.1), "bert", {"pooling": "cls"}),
        (Full(), "bert", {"gradient_checkpointing": True}),
        (Prefix(), "qwen3", {"pooling": "last"}),
        (Linear(), "mpnet", {}),
    ],
    ids=lambda value: repr(value) if isinstance(value, Strategy) else str(value),
)
def test_nothing_is_compiled_inside_what_is_timed(
    strategy: Strategy, family: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    workbench = make_workbench(family, train=_split(50, 1), validation=_split(40, 2))
    made = _noting_forms(workbench)
    record = run(make_spec(strategy, compile=True, **settings), workbench, tmp_path).record

    assert record.status is Status.COMPLETED, record.traceback
    assert record.environment
    assert record.environment.compiled
    assert record.seconds
    assert record.seconds.compile > record.seconds.train
    assert counters["stats"]["unique_graphs"] == made[0] + 1, "the deployed form's, ahead as well"


def test_a_trial_that_is_not_compiled_says_so(tmp_path: Path) -> None:
    record = run(make_spec(LoRA()), make_workbench(), tmp_path).record
    assert record.environment
    assert not record.environment.compiled
    assert record.seconds
    assert record.seconds.compile == 0
    assert not counters["stats"]


def test_a_failure_of_the_compiler_ends_the_trial_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.model.compiled", _broken)
    record = run(make_spec(LoRA(), compile=True), make_workbench(), tmp_path).record
    assert record.status is Status.FAILED
    assert record.reason
    assert "the compiler does not know this" in record.reason


def _broken(states: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def backend(graph: object, inputs: object) -> Callable[..., Tensor]:
        raise NotImplementedError("the compiler does not know this")

    return torch.compile(states, backend=backend)


def _more_and_more_inputs(form: Callable[[dict[str, Tensor]], Tensor]) -> None:
    for number in range(1, 20):
        form({str(place): torch.ones(2) for place in range(number)})


def test_too_many_forms_of_one_function_are_an_error_and_no_silent_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = torch.compile
    monkeypatch.setattr("torch.compile", lambda f, dynamic: really(f, backend="eager"))
    form = compiled(lambda inputs: inputs["0"] * len(inputs))
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        _more_and_more_inputs(form)


def test_batches_of_unequal_sizes_are_taken_ahead() -> None:
    found = extremes(BATCHES)
    widths = [batch.inputs["attention_mask"].shape[1] for batch in BATCHES]
    assert {max(widths), min(widths)} <= {b.inputs["attention_mask"].shape[1] for b in found}
    assert min(len(batch.sequences) for batch in found) == 16
    assert len(extremes(BATCHES[:1])) == 1


def test_a_refusal_still_comes_before_the_compiler(tmp_path: Path) -> None:
    spec = make_spec(Ends(error="refuse"), compile=True)
    record = run(spec, make_workbench(), tmp_path).record
    assert record.status is Status.SKIPPED
    assert not counters["stats"]


def test_a_machine_without_compiler_or_headers_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._inductor import config

    with config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        assert "install g++" in (cannot_compile() or "")
    with monkeypatch.context() as patch:
        patch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", lambda: "g++")
        patch.setattr("sysconfig.get_paths", lambda: {"include": "/nowhere"})
        assert "headers" in (cannot_compile() or "")
