"""PEFT's methods as strategies: names, knobs, refusals, and the way to another process."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import peft as installed
import pytest
import torch
from torch import nn
from transformers import BertConfig

from bench.anatomy import skeleton
from bench.errors import StudyError, TrialRefused
from bench.space import find_space
from bench.strategy import find_strategy, installed_families
from bench.study.arm import make_arm
from strategies.peft_bridge import FAMILY, _configurations, _scalar
from strategies.peft_methods import METHODS, UNFIT
from strategies.peft_wrap import PeftPrompted, merged
from tests.helpers.peft_methods import OTHERS, WELL_KNOWN, peft
from tests.helpers.tiny import CONFIGS, sentences, tiny

KINDS = {kind.value.lower() for kind in installed.PeftType}


def told(name: str, **settings: Any) -> list[str]:
    """What a study is told of an arm."""
    with pytest.raises(StudyError) as caught:
        make_arm(name, find_strategy(name), find_space(name), settings)
    return list(caught.value.problems)


def test_every_method_of_the_installed_peft_has_a_name_or_a_reason_why_not() -> None:
    assert {kind.lower() for kind in _configurations()} <= {*FAMILY.names(), *UNFIT}
    assert set(UNFIT) <= KINDS
    assert {known.kind.lower() for known in METHODS.values()} <= KINDS
    assert list(FAMILY.names())[:3] == ["lora", "dora", "rslora"]


def test_the_family_is_installed_by_its_entry_point() -> None:
    assert installed_families().found["peft"] is FAMILY


def test_an_unknown_method_is_told_with_the_close_ones() -> None:
    with pytest.raises(StudyError, match=r"no method 'ia4' \(did you mean ia3.*it has lora, dora"):
        find_strategy("peft:ia4")


def test_a_name_of_the_family_without_its_prefix_is_recognised() -> None:
    with pytest.raises(StudyError, match=r"unknown strategy 'ia3' \(did you mean peft:ia3\?\)"):
        find_strategy("ia3")


@pytest.mark.parametrize("name", sorted(UNFIT))
def test_what_asks_for_more_than_a_training_loop_is_told_why(name: str) -> None:
    with pytest.raises(StudyError) as caught:
        find_strategy(f"peft:{name}")
    assert caught.value.problems == (f"PEFT's {name} cannot be run here: {UNFIT[name]}",)


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _configurations.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "peft"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(StudyError) as caught:
        find_strategy("peft:ia3")
    assert caught.value.problems == (
        "strategies peft:… need the package peft; run: pip install 'paretune[peft]'",
    )
    with pytest.raises(StudyError, match="unknown strategy 'ia3'; installed are"):
        find_strategy("ia3")


def test_the_knobs_are_the_fields_of_pefts_configuration_that_one_value_can_fill() -> None:
    knobs = peft("lora").knobs
    assert knobs == {
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "init_lora_weights": True,
        "use_dora": False,
        "lora_bias": False,
    }
    made = peft("lora", r=4, bias="all").configuration()  # type: ignore[attr-defined]
    assert isinstance(made, installed.LoraConfig)
    assert (made.r, made.lora_alpha, made.bias) == (4, 8, "all")


@pytest.mark.parametrize("strategy", [*WELL_KNOWN, *OTHERS], ids=lambda s: s.name)
def test_knobs_are_json_and_build_pefts_own_configuration(strategy: Any) -> None:
    assert json.loads(json.dumps(strategy.knobs)) == strategy.knobs
    made = strategy.configuration()
    assert {name: getattr(made, name) for name in strategy.knobs} == strategy.knobs
    assert strategy.paper.startswith("https://")


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (int, int),
        (int | None, int),
        (list[str] | str | None, str),
        (dict | None, None),
        (list[int], None),
        (int | float | None, int | float),
        (installed.LoraConfig, None),
    ],
    ids=str,
)
def test_of_an_annotation_stays_what_a_knob_can_hold(kind: Any, left: Any) -> None:
    assert _scalar(kind) == left


def test_wrong_knobs_are_told_together_before_anything_runs() -> None:
    assert told("peft:lora", rn=8, bias="some", use_rslora=5, init_lora_weights="foo") == [
        "peft:lora.rn = 8: no such knob (did you mean r?); peft:lora has bias, exclude_modules,"
        " init_lora_weights, layers_pattern, layers_to_transform, learning_rate, lora_alpha,"
        " lora_bias, lora_dropout, r, target_modules, use_dora, use_rslora",
        "peft:lora.bias = 'some': allowed are none, all, lora_only",
        "peft:lora.use_rslora = 5: must be bool",
        "peft:lora.init_lora_weights = 'foo': must be bool, or allowed are gaussian, eva, olora,"
        " pissa, pissa_niter_[number of iters], corda, loftq, orthogonal, mica",
    ]


def test_what_makes_a_variant_is_no_knob_of_it() -> None:
    assert told("peft:dora", use_dora=False)[0].startswith("peft:dora.use_dora = False: no such")
    assert peft("dora").configuration().use_dora  # type: ignore[attr-defined]
    assert peft("rslora").configuration().use_rslora  # type: ignore[attr-defined]


def test_values_that_pefts_configuration_refuses_are_told_in_its_words() -> None:
    (one, *_) = told("peft:oft", r=2, oft_block_size=16)
    assert "You can only specify either r (2) or oft_block_size (16), but not both" in one


def test_an_initialisation_that_reads_data_is_refused() -> None:
    (one,) = told("peft:lora", init_lora_weights="eva")
    assert one == (
        "peft:lora: init_lora_weights = 'eva' reads data before training, which no strategy is"
        " given"
    )


@pytest.mark.parametrize(("name", "alpha", "ratio"), [
    ("lora", "lora_alpha", 2), ("dora", "lora_alpha", 2), ("loha", "alpha", 1), ("lokr", "alpha", 1)
])  # fmt: skip
def test_the_scaling_is_held_while_the_rank_changes_unless_it_is_given(
    name: str, alpha: str, ratio: int
) -> None:
    for rank in (1, 3, 64):
        assert peft(name, r=rank).knobs[alpha] == ratio * rank
    assert peft(name, r=3, **{alpha: 5}).knobs[alpha] == 5
    assert peft("rslora", r=3).knobs["lora_alpha"] == peft("rslora", r=64).knobs["lora_alpha"]


def test_a_start_stays_unchanged_with_another_rank_but_not_with_another_initialisation() -> None:
    assert peft("lora", r=2, lora_dropout=0.1).starts_unchanged
    assert not peft("lora", init_lora_weights="olora").starts_unchanged
    assert not peft("lora", use_dora=True).starts_unchanged
    assert not peft("vera", init_weights=False).starts_unchanged
    assert not peft("fourierft").starts_unchanged


FRESH = """
import pickle, sys
strategy = pickle.loads(bytes.fromhex(sys.argv[1]))
print(strategy, type(strategy).__module__, strategy.name)
print(pickle.dumps(strategy).hex())
"""


def test_an_instance_finds_the_way_to_a_process_that_has_not_made_its_class() -> None:
    strategy = peft("vera", r=16, d_initial=0.2)
    packed = pickle.dumps(strategy)
    done = subprocess.run(
        [sys.executable, "-c", FRESH, packed.hex()], capture_output=True, text=True, check=True
    )
    shown, back = done.stdout.splitlines()
    assert shown == f"{strategy} strategies.peft_bridge peft:vera"
    assert pickle.loads(bytes.fromhex(back)) == strategy


@pytest.mark.parametrize(
    ("strategy", "family", "words"),
    [
        (peft("lora", r=0), "bert", "`r` should be a positive integer value"),
        (peft("lora", target_modules="nowhere"), "bert", "not found in the base model"),
        (peft("oft", oft_block_size=12), "bert", "Invalid `oft_block_size` (12)!"),
        (peft("boft", boft_block_size=7), "bert", "boft_block_size"),
        (peft("fourierft", n_frequency=2000), "bert", "`n_frequency` should be less than"),
        (peft("prefix_tuning"), "distilbert", "does not support past key values"),
        (peft("adaption_prompt"), "bert", "Unsupported model type for adaption prompt: 'bert'"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_refusal_has_pefts_own_reason(strategy: Any, family: str, words: str) -> None:
    reason = strategy.refuse(CONFIGS[family]())
    assert reason
    assert words in reason
    with pytest.raises(TrialRefused) as refusal:
        strategy.adapt(tiny(family))
    assert refusal.value.reason == reason


def test_a_factor_that_peft_would_set_to_one_is_refused_where_it_would() -> None:
    reason = peft("boft", boft_n_butterfly_factor=2).refuse(CONFIGS["bert"]())
    cuda = "boft_n_butterfly_factor above 1 needs PEFT's CUDA extension"
    assert reason is None or reason.startswith(f"PEFT says: {cuda}")


@pytest.mark.parametrize(
    ("name", "family", "modules"),
    [
        ("lora", "bert", {"attention.self.query", "attention.self.value"}),
        ("lora", "distilbert", {"attention.q_lin", "attention.v_lin"}),
        ("lora", "modernbert", {"attn.Wqkv"}),
        ("ia3", "llama", {"self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj"}),
        ("ia3", "distilbert", {"attention.k_lin", "attention.v_lin", "ffn.lin2"}),
        ("ln_tuning", "qwen3", {"post_attention_layernorm"}),
        ("ln_tuning", "distilbert", {"sa_layer_norm", "output_layer_norm"}),
    ],
)
def test_targets_are_pefts_own_where_its_table_has_the_family_else_found_by_structure(
    name: str, family: str, modules: set[str]
) -> None:
    adapted = peft(name).adapt(tiny(family))
    layers = [
        path
        for path, module in adapted.named_modules()
        if isinstance(module, installed.tuners.tuners_utils.BaseTunerLayer) and ".0." in path
    ]
    assert {path.partition(".0.")[2] for path in layers} == modules


def test_a_target_that_is_given_goes_before_the_table() -> None:
    adapted = peft("lora", target_modules=r".*\.key").adapt(tiny("bert"))
    trained = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert trained
    assert all(".key." in name for name in trained)


def test_what_peft_cannot_merge_stays_as_it_is() -> None:
    adapted = peft("beft").adapt(tiny("qwen3"))
    assert merged(adapted) is adapted
    assert type(merged(peft("lora").adapt(tiny("qwen3")))) is type(tiny("qwen3"))


def test_of_p_tuning_only_the_vectors_are_deployed() -> None:
    strategy = peft("p_tuning", num_virtual_tokens=3)
    adapted = strategy.adapt(tiny("bert"))
    assert isinstance(adapted, PeftPrompted)
    whole = _size(adapted)
    deployed = strategy.deploy(adapted.eval())
    assert _size(deployed) - _size(tiny("bert")) == 3 * 32
    assert whole - _size(deployed) == 3 * (32 * 32 + 32)


@pytest.mark.parametrize(
    ("strategy", "kept"),
    [
        (peft("p_tuning", num_virtual_tokens=3, encoder_reparameterization_type="LSTM"), 3 * 32),
        (peft("prefix_tuning", num_virtual_tokens=3, prefix_projection=True), 3 * 2 * 2 * 32),
    ],
    ids=["lstm", "projection"],
)
@torch.no_grad()
def test_the_vectors_alone_give_the_states_of_the_network_behind_them(
    strategy: Any, kept: int
) -> None:
    adapted = strategy.adapt(tiny("bert")).eval()
    before = adapted(**sentences()).last_hidden_state
    deployed = strategy.deploy(adapted)
    torch.testing.assert_close(deployed(**sentences()).last_hidden_state, before)
    assert _size(deployed) - _size(tiny("bert")) == kept


def test_adapting_a_skeleton_needs_no_weights() -> None:
    config = BertConfig()
    adapted = peft("lora", r=4).adapt(skeleton(config))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert trained == 147_456  # as of our own LoRA


def _size(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())
