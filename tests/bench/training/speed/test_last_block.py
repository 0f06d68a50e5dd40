"""What nothing reads is left out of the last block, and what is read stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from bench.anatomy import blocks, linears
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.spec import Pooling
from bench.strategy import Strategy, installed_strategies
from bench.training.model import TaskModel
from strategies.full import Full
from strategies.lora import LoRA
from strategies.prompt import Prompt
from tests.helpers.peft_methods import WELL_KNOWN
from tests.helpers.tiny import CONFIGS, WIDTH, sentences, tiny

STRATEGIES = [
    *(strategy() for strategy in installed_strategies().found.values()),
    LoRA(targets="all_linear", init="gaussian"),
    Prompt(length=3, double_embedding=True),
]
CUT = ["bert", "roberta", "electra", "deberta-v2"]
ACCEPTED = [
    (strategy, family)
    for strategy in STRATEGIES
    for family in CONFIGS
    if strategy.refuse(CONFIGS[family]()) is None
]
ACCEPTED += [(strategy, family) for strategy in WELL_KNOWN for family in (CUT[0], "llama")]
TOKENS = 9


def padded() -> dict[str, Tensor]:
    """Three texts, two of them padded."""
    batch = sentences(rows=3, tokens=TOKENS)
    batch["attention_mask"][1, 5:] = 0
    batch["attention_mask"][2, 8:] = 0
    return batch


def scorer(adapted: nn.Module, pooling: Pooling = "cls") -> TaskModel:
    return TaskModel(MultipleChoice(), adapted, width=WIDTH, pooling=pooling, dropout=0.0).eval()


def read(model: TaskModel) -> tuple[Tensor, int]:
    """The vectors, and of how many tokens the last layer of the last block has seen states."""
    backbone = next(m for m in model.modules() if isinstance(m, PreTrainedModel))
    last = list(linears(list(blocks(backbone).values())[-1]).values())[-1]
    seen: list[int] = []
    handle = last.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[-2]))
    vectors = model.read(padded())
    handle.remove()
    return vectors, seen[-1]


@pytest.mark.parametrize(
    ("strategy", "family"), ACCEPTED, ids=lambda v: repr(v) if isinstance(v, Strategy) else v
)
def test_vectors_and_slopes_are_those_of_the_whole_model(strategy: Strategy, family: str) -> None:
    torch.manual_seed(0)
    model = scorer(strategy.adapt(tiny(family)))
    trained = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    found = []
    for cut in (False, True):
        if cut:
            with torch.no_grad():
                model.leave_out_unread(sentences(tokens=4))
        vectors, _ = read(model)
        slopes: tuple[Tensor | None, ...] = ()
        if trained:
            direction = torch.linspace(-1, 1, WIDTH)
            slopes = torch.autograd.grad((vectors @ direction).sum(), trained, allow_unused=True)
        found.append((vectors, *(slope for slope in slopes if slope is not None)))
    whole, left = found
    assert len(whole) == len(left)
    for expected, given in zip(whole, left, strict=True):
        torch.testing.assert_close(given, expected)


@pytest.mark.parametrize("family", CUT)
def test_the_last_layers_see_the_first_token_alone(family: str) -> None:
    model = scorer(Full().adapt(tiny(family)))
    assert read(model)[1] == TOKENS
    model.leave_out_unread(sentences())
    assert read(model)[1] == 1


def test_what_stands_before_the_text_is_kept() -> None:
    model = scorer(Prompt(length=3).adapt(tiny("bert")))
    model.leave_out_unread(sentences())
    assert read(model)[1] == 4


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_head_that_reads_other_tokens_has_them_all(pooling: Pooling) -> None:
    model = scorer(Full().adapt(tiny("bert")), pooling)
    expected, _ = read(model)
    model.leave_out_unread(sentences())
    vectors, tokens = read(model)
    assert tokens == TOKENS
    assert torch.equal(vectors, expected)


class Mixing(nn.Module):
    """Reads all states itself, by their mean or by a layer over a fixed number of tokens."""

    def __init__(self, backbone: nn.Module, tokens: int | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.over = tokens and nn.Linear(tokens, tokens)

    def forward(self, **inputs: Any) -> BaseModelOutput:
        states = self.backbone(**inputs).last_hidden_state
        if self.over:
            states = self.over(states.transpose(1, 2)).transpose(1, 2)
        return BaseModelOutput(last_hidden_state=states.mean(1, keepdim=True).expand_as(states))


@pytest.mark.parametrize("tokens", [None, TOKENS])
def test_a_strategy_that_reads_all_states_has_them_all(tokens: int | None) -> None:
    torch.manual_seed(0)
    model = scorer(Mixing(tiny("bert"), tokens))
    expected, _ = read(model)
    model.leave_out_unread(sentences(tokens=TOKENS))
    vectors, seen = read(model)
    assert seen == TOKENS
    assert torch.equal(vectors, expected)


@pytest.mark.parametrize("family", ["albert", "mpnet"])
def test_a_shared_block_or_one_without_such_a_module_is_computed_whole(family: str) -> None:
    torch.manual_seed(0)
    model = scorer(tiny(family))
    expected, _ = read(model)
    model.leave_out_unread(sentences())
    vectors, tokens = read(model)
    assert tokens == TOKENS
    assert torch.equal(vectors, expected)


def test_a_backbone_called_by_itself_gives_all_states() -> None:
    backbone = tiny("bert")
    model = scorer(backbone)
    expected = backbone(**padded()).last_hidden_state
    model.leave_out_unread(sentences())
    read(model)
    assert torch.equal(backbone(**padded()).last_hidden_state, expected)


def test_a_model_in_another_form_is_looked_at_again() -> None:
    model = scorer(Full().adapt(tiny("bert")))
    model.leave_out_unread(sentences())
    model.backbone = Mixing(model.backbone, None)
    expected, _ = read(scorer(Mixing(tiny("bert"), None)))
    model.leave_out_unread(sentences())
    vectors, seen = read(model)
    assert seen == TOKENS
    assert torch.equal(vectors, expected)
