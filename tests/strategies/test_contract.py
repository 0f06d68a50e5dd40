"""What every strategy promises, checked on tiny random models of ten families."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import TrialRefused
from bench.space import LEARNING_RATE, find_space
from bench.strategy import Strategy, installed_strategies
from strategies.adapter import Adapter
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from strategies.peft_bridge import PeftStrategy
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.helpers.peft_methods import OTHERS, WELL_KNOWN
from tests.helpers.tiny import CONFIGS, VOCABULARY, WIDTH, sentences, tiny

# SHiRA computes with sparse tensors, of which torch warns once per process.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")

DEFAULTS: list[Strategy] = [strategy() for strategy in installed_strategies().found.values()]
VARIANTS: list[Strategy] = [
    *DEFAULTS,
    Adapter(placement="houlsby", activation="relu"),
    Adapter(placement="post_hoc", bottleneck=8),
    LoRA(targets="attention", rank=2),
    LoRA(targets="all_linear", init="gaussian", dropout=0.05),
    Prompt(double_embedding=True, length=3),
]
PEFT = [*WELL_KNOWN, *OTHERS]
ALWAYS = ("bert", "qwen3")
"""An encoder and a decoder: on these PEFT's well-known methods are tried in every run."""
PAIRS = [
    *((strategy, family) for strategy in [*VARIANTS, *WELL_KNOWN] for family in CONFIGS),
    *((strategy, family) for strategy in OTHERS for family in ALWAYS),
]
REFUSED = [(s, family) for s, family in PAIRS if s.refuse(CONFIGS[family]()) is not None]
ACCEPTED = [pair for pair in PAIRS if pair not in REFUSED]
EXACT_AT_START = [
    (strategy, family)
    for strategy, family in ACCEPTED
    if not isinstance(strategy, Prompt | Prefix)
    and strategy.knobs.get("init") != "gaussian"
    and strategy.knobs.get("placement") != "post_hoc"
    and (strategy.starts_unchanged or not isinstance(strategy, PeftStrategy))
]


def _name(value: object) -> str:
    if isinstance(value, PeftStrategy):
        return value.name  # the knobs of all these are PEFT's defaults, and many
    return repr(value) if isinstance(value, Strategy) else str(value)


def _over(pairs: list[tuple[Strategy, str]]) -> pytest.MarkDecorator:
    slow = [pair[0] in OTHERS or (pair[0] in PEFT and pair[1] not in ALWAYS) for pair in pairs]
    marks = [pytest.mark.slow if one else () for one in slow]
    cases = [pytest.param(*pair, marks=mark) for pair, mark in zip(pairs, marks, strict=True)]
    return pytest.mark.parametrize(("strategy", "family"), cases, ids=_name)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def _states(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    states: Tensor = model(**batch).last_hidden_state
    return states


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


@torch.no_grad()
def _shake(model: nn.Module) -> None:
    for weight in _trained(model).values():
        weight.add_(torch.randn_like(weight) * 0.05)


@_over(ACCEPTED)
def test_something_learns_and_the_head_is_not_ours(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family))
    assert bool(_trained(adapted)) != isinstance(strategy, Linear)
    assert all(weight.dtype == torch.float32 for weight in adapted.parameters())


@_over(ACCEPTED)
def test_one_step_moves_what_learns_and_nothing_else(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family))
    before = {name: weight.detach().clone() for name, weight in adapted.named_parameters()}
    trained = _trained(adapted)
    if trained:
        optimizer = torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.0)
        direction = torch.randn(WIDTH)
        (_states(adapted, sentences(4)) @ direction).square().mean().backward()
        optimizer.step()
    moved = {
        name
        for name, weight in adapted.named_parameters()
        if not torch.equal(weight.detach(), before[name])
    }
    flat = {
        name for name, weight in trained.items() if weight.grad is None or not weight.grad.any()
    }
    assert moved == set(trained) - flat
    if isinstance(strategy, PeftStrategy):
        assert len(flat) <= len(trained) * 3 / 4, "of LoHa's four factors one has a gradient"
    elif strategy.knobs.get("placement") != "post_hoc":
        assert len(flat) <= len(trained) / 2, "at a zero start one of two factors has no gradient"


@_over(ACCEPTED)
def test_the_loss_falls_on_sixteen_memorised_questions(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family))
    head = nn.Linear(WIDTH, 1)
    batch, answers = sentences(16 * 4, tokens=5), torch.arange(16) % 4
    rate = 1e-2 if isinstance(strategy, PeftStrategy) else 5e-3
    optimizer = torch.optim.AdamW([*_trained(adapted).values(), *head.parameters()], lr=rate)
    losses = []
    for _ in range(20):
        logits = head(_states(adapted, batch).mean(dim=1)).view(16, 4)
        loss = F.cross_entropy(logits, answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


@_over(EXACT_AT_START)
def test_the_first_outputs_are_the_pretrained_ones(strategy: Strategy, family: str) -> None:
    with torch.no_grad():
        plain = _states(tiny(family), sentences())
        adapted = _states(strategy.adapt(tiny(family)).eval(), sentences())
    torch.testing.assert_close(adapted, plain, atol=1e-6, rtol=0)


@_over(ACCEPTED)
@torch.no_grad()
def test_deployment_leaves_the_outputs_alone(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family)).eval()
    _shake(adapted)
    before = _states(adapted, sentences())
    torch.testing.assert_close(_states(strategy.deploy(adapted), sentences()), before)


@_over(ACCEPTED)
@torch.no_grad()
def test_trained_weights_alone_restore_the_model(strategy: Strategy, family: str) -> None:
    first = strategy.adapt(tiny(family)).eval()
    _shake(first)
    saved = {name: weight.detach().clone() for name, weight in _trained(first).items()}
    second = strategy.adapt(tiny(family)).eval()
    assert set(saved) == set(_trained(second))
    second.load_state_dict(saved, strict=False)
    assert torch.equal(_states(second, sentences()), _states(first, sentences()))


@_over(ACCEPTED)
def test_the_same_seed_gives_the_same_weights(strategy: Strategy, family: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(strategy.adapt(tiny(family)).state_dict())
    first, second = states
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@_over(ACCEPTED)
@torch.no_grad()
def test_padding_does_not_change_a_sequence(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family)).eval()
    _shake(adapted)
    alone = sentences(1, tokens=5)
    padded = sentences(2, tokens=9, seed=1)
    padded["input_ids"][0] = F.pad(alone["input_ids"][0], (0, 4))
    padded["attention_mask"][0, 5:] = 0
    torch.testing.assert_close(
        _states(adapted, padded)[0, :5], _states(adapted, alone)[0], atol=1e-5, rtol=1e-4
    )


@_over(ACCEPTED)
def test_frozen_weights_may_be_stored_in_half_the_bits(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family))
    for weight in adapted.parameters():
        if not weight.requires_grad and weight.dim() >= 2:
            weight.data = weight.data.bfloat16()
    head = nn.Linear(WIDTH, 1)
    with torch.autocast("cpu", torch.bfloat16):
        states = _states(adapted, sentences())
        loss = head(states).float().square().mean()
    loss.backward()
    assert states.shape == (2, 7, WIDTH)
    for weight in [*_trained(adapted).values(), head.weight]:
        assert weight.dtype == torch.float32
        assert weight.grad is None or weight.grad.isfinite().all()
    deployed = strategy.deploy(adapted.eval())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert _states(deployed, sentences()).isfinite().all()


@_over([pair for pair in ACCEPTED if pair[0].name != "peft:osf"])  # its hooks do not pickle
@torch.no_grad()
def test_an_adapted_model_survives_copying_and_pickling(strategy: Strategy, family: str) -> None:
    adapted = strategy.adapt(tiny(family)).eval()
    states = _states(adapted, sentences())
    for other in (copy.deepcopy(adapted), pickle.loads(pickle.dumps(adapted))):
        assert torch.equal(_states(other, sentences()), states)


@_over([(s, family) for s, family in ACCEPTED if s in [*DEFAULTS, *WELL_KNOWN]])
def test_both_ends_of_every_searched_range_run_or_are_refused(
    strategy: Strategy, family: str
) -> None:
    for knob, dimension in find_space(strategy.name).knobs.items():
        if knob == LEARNING_RATE:
            continue
        for end in dimension.ends:
            changed = type(strategy)(**strategy.knobs | {knob: end})
            if isinstance(strategy, PeftStrategy) and changed.refuse(CONFIGS[family]()):
                continue  # a size that a model of width 32 is too small for
            adapted = changed.adapt(tiny(family))
            assert _states(adapted, sentences()).shape == (2, 7, WIDTH)


@_over(REFUSED)
def test_a_refusal_says_why(strategy: Strategy, family: str) -> None:
    reason = strategy.refuse(CONFIGS[family]())
    assert reason
    assert len(reason.split()) > 5
    with pytest.raises(TrialRefused) as refusal:
        strategy.adapt(tiny(family))
    assert refusal.value.reason == reason


def test_only_these_pairs_are_refused() -> None:
    assert {(strategy.name, family) for strategy, family in REFUSED if strategy in DEFAULTS} == {
        ("bitfit", "modernbert"),
        ("bitfit", "qwen3"),
        ("bitfit", "llama"),
        ("prefix", "deberta-v2"),
        ("prefix", "mpnet"),
    }
    own = [strategy for strategy in VARIANTS if strategy not in DEFAULTS]
    variants = {family for strategy, family in REFUSED if strategy in own}
    assert variants == {"qwen3", "llama"}, "a decoder's word embedding has no layer around it"


def test_of_pefts_well_known_methods_only_prefixes_are_refused_and_only_by_five_families() -> None:
    assert {(strategy.name, family) for strategy, family in REFUSED if strategy in WELL_KNOWN} == {
        ("peft:prefix_tuning", "albert"),
        ("peft:prefix_tuning", "distilbert"),
        ("peft:prefix_tuning", "deberta-v2"),
        ("peft:prefix_tuning", "modernbert"),
        ("peft:prefix_tuning", "mpnet"),
    }


@pytest.mark.parametrize("strategy", [*VARIANTS, *PEFT], ids=_name)
def test_a_strategy_is_its_own_label_record_and_transport(strategy: Strategy) -> None:
    twin = eval(repr(strategy), {type(strategy).__name__: type(strategy)})
    for other in (pickle.loads(pickle.dumps(strategy)), twin, type(strategy)(**strategy.knobs)):
        assert other == strategy
        assert hash(other) == hash(strategy)


@pytest.mark.parametrize(
    ("strategy", "knob", "value"),
    [
        (Adapter, "bottleneck", 0),
        (Adapter, "placement", "parallel"),
        (Adapter, "activation", "step"),
        (Prompt, "length", 0),
        (Prefix, "length", 0),
    ],
)
def test_a_value_outside_its_rule_is_told_at_once(
    strategy: type[Strategy], knob: str, value: object
) -> None:
    with pytest.raises(ValueError, match=rf"{knob} .*got {value!r}"):
        strategy(**{knob: value})


def test_asking_for_a_refusal_leaves_the_configuration_alone() -> None:
    for strategy in [*VARIANTS, *PEFT]:
        config = CONFIGS["bert"]()
        before = config.to_json_string()
        strategy.refuse(config)
        assert config.to_json_string() == before
        assert config.vocab_size == VOCABULARY


def test_full_and_linear_are_the_two_extremes() -> None:
    everything, nothing = Full().adapt(tiny("bert")), Linear().adapt(tiny("bert"))
    assert len(_trained(everything)) == len(list(everything.parameters()))
    assert not _trained(nothing)
