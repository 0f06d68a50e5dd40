"""Compiled trials: the same numbers, forms made before the clock, one form for all widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.callback import callback_handler
from torch._dynamo.utils import counters
from torch.nn import functional as F

from bench.data.batches import collate
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tokens import TokenSplit
from bench.records.trial_record import Status
from bench.strategy import Strategy
from bench.task import Batch
from bench.training.measure import Stopwatch
from bench.training.model import TaskModel
from bench.training.speed.compiling import compiled, extremes
from bench.training.speed.cpu import kernels
from bench.training.speed.toolchain import cannot_compile
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from strategies.prefix import Prefix
from tests.helpers.tiny import VOCABULARY, WIDTH, tiny
from tests.helpers.trials import Ends, make_spec, make_workbench, run

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


class Compilations:
    """How often the compiler was called, forms of gradients included, by what was timed meanwhile.

    Of spans inside spans the outer one counts.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._open: list[str] = []

    def note(self, _: object) -> None:
        self.counts[self._open[0] if self._open else "nothing"] += 1

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()


class NotingStopwatch(Stopwatch):
    """Tells what it times."""

    def __init__(self, compilations: Compilations) -> None:
        super().__init__()
        self._compilations = compilations

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        with self._compilations.during(name), super().span(name):
            yield

    def time(self, function: Callable[[], object]) -> float:
        with self._compilations.during("a pass"):
            return super().time(function)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Compilations:
    found = Compilations()
    # What is registered there is forgotten whenever torch forgets its forms.
    monkeypatch.setattr(callback_handler, "run_start_callbacks", found.note)
    return found


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
    strategy: Strategy,
    family: str,
    settings: dict[str, Any],
    tmp_path: Path,
    compilations: Compilations,
) -> None:
    workbench = make_workbench(family, train=_split(50, 1), validation=_split(40, 2))
    clock = NotingStopwatch(compilations)
    workbench.stopwatch = lambda: clock  # type: ignore[method-assign]
    record = run(make_spec(strategy, compile=True, **settings), workbench, tmp_path).record

    assert record.status is Status.COMPLETED, record.traceback
    assert record.environment
    assert record.environment.compiled
    assert record.seconds
    assert record.seconds.compile > 0
    assert set(compilations.counts) == {"compile"}
    assert compilations.counts["compile"] >= 2, "the trained form and the deployed one"
    assert set(clock.seconds) >= {"load", "compile", "train", "validation"}


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
    monkeypatch.setattr("bench.training.model.compiled", _broken)
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
