"""Which methods of PEFT are known by which name, and what is said of each beside PEFT's own word.

A name is that of a ``PeftType`` in lower case, or of a variant that PEFT has as a switch of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bench.space import Value

Targets: TypeAlias = Literal["query_value", "key_value_feed_forward", "norms"]
MANUAL = "https://huggingface.co/docs/peft/package_reference"


@dataclass(frozen=True, kw_only=True)
class Method:
    """One name.

    Attributes:
        kind: the ``PeftType``.
        paper: URL of the primary source; of PEFT's manual where we name none.
        held: fields that make the variant; they are no knobs.
        defaults: of fields for which PEFT has none, or another one.
        scaling: a field that is this many times ``r`` unless it is given, so that a searched rank
            does not change the effective learning rate too.
        unchanged: whether it starts as the frozen model, exactly.
        targets: what is adapted of a model for which PEFT has no table entry.
    """

    kind: str
    paper: str
    held: Mapping[str, Value] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)
    scaling: tuple[str, float] | None = None
    unchanged: bool = False
    targets: Targets = "query_value"


_PROMPT: Mapping[str, Value] = {"num_virtual_tokens": 8}

METHODS: Mapping[str, Method] = {
    "lora": Method(
        kind="LORA",
        paper="https://arxiv.org/abs/2106.09685",
        scaling=("lora_alpha", 2),
        unchanged=True,
    ),
    "dora": Method(
        kind="LORA",
        paper="https://arxiv.org/abs/2402.09353",
        held={"use_dora": True},
        scaling=("lora_alpha", 2),
    ),
    "rslora": Method(  # the scaling α/√r is made for an α that stays while the rank changes
        kind="LORA",
        paper="https://arxiv.org/abs/2312.03732",
        held={"use_rslora": True},
        unchanged=True,
    ),
    "vera": Method(kind="VERA", paper="https://arxiv.org/abs/2310.11454", unchanged=True),
    "loha": Method(
        kind="LOHA",
        paper="https://arxiv.org/abs/2108.06098",
        scaling=("alpha", 1),
        unchanged=True,
    ),
    "lokr": Method(
        kind="LOKR",
        paper="https://arxiv.org/abs/2309.14859",
        scaling=("alpha", 1),
        unchanged=True,
    ),
    "ia3": Method(
        kind="IA3",
        paper="https://arxiv.org/abs/2205.05638",
        unchanged=True,
        targets="key_value_feed_forward",
    ),
    "ln_tuning": Method(
        kind="LN_TUNING",
        paper="https://arxiv.org/abs/2312.11420",
        unchanged=True,
        targets="norms",
    ),
    "oft": Method(kind="OFT", paper="https://arxiv.org/abs/2306.07280", unchanged=True),
    "boft": Method(kind="BOFT", paper="https://arxiv.org/abs/2311.06243", unchanged=True),
    "fourierft": Method(kind="FOURIERFT", paper="https://arxiv.org/abs/2405.03003"),
    "p_tuning": Method(kind="P_TUNING", paper="https://arxiv.org/abs/2103.10385", defaults=_PROMPT),
    "prompt_tuning": Method(
        kind="PROMPT_TUNING",
        paper="https://arxiv.org/abs/2104.08691",
        # Section 3.2 there: words of the vocabulary do better than random vectors, PEFT's default.
        defaults={**_PROMPT, "prompt_tuning_init": "SAMPLE_VOCAB"},
    ),
    "prefix_tuning": Method(
        kind="PREFIX_TUNING", paper="https://arxiv.org/abs/2101.00190", defaults=_PROMPT
    ),
    # The paper's length; two layers, since PEFT has no default and every model has these.
    "adaption_prompt": Method(
        kind="ADAPTION_PROMPT",
        paper="https://arxiv.org/abs/2303.16199",
        defaults={"adapter_len": 10, "adapter_layers": 2},
    ),
    # Without a seed the places that learn would be others in every process.
    "shira": Method(kind="SHIRA", paper=f"{MANUAL}/shira", defaults={"random_seed": 0}),
}

UNFIT: Mapping[str, str] = {
    "adalora": "it moves its ranks by a call after every optimizer step, which our training loop"
    " does not make",
    "cartridge": "it starts from the keys and values of a text that it has to be given",
    "cpt": "it takes its prompt from examples and learns by a loss of its own",
    "lily": "its router averages over all texts of a batch, so that what a text gives depends on"
    " its neighbours",
    "multitask_prompt_tuning": "it has to be told the task of every text",
    "poly": "it has to be told the task of every text",
    "shadow": "it trains a second model by a loss of its own",
    "trainable_tokens": "it needs the list of words that learn, which no knob can hold",
    "xlora": "it mixes adapters that have been trained before",
}
"""Methods of PEFT that ask more than a backbone and a training loop, and why they cannot be run."""

NEED_DATA: Mapping[str, frozenset[str]] = {"init_lora_weights": frozenset({"eva", "corda"})}
"""Values of fields for which PEFT would have to be called with data before training."""

NO_KNOBS = frozenset(
    {
        # the shape of the model, which is read from the model
        "token_dim", "num_layers", "num_attention_heads", "num_transformer_submodules",
        "fan_in_fan_out",
        # files, other libraries and quantised models
        "megatron_core", "save_projection", "save_indices", "save_only_topk_weights",
        "save_precomputed_indices", "progressbar", "runtime_offload_base_weight",
        "tokenizer_name_or_path", "use_qalora", "qalora_group_size", "ensure_weight_tying",
        "use_effective_conv2d",
        # a schedule that has to be called by the training loop
        "use_asa", "asa_target_subspaces", "init_warmup", "final_warmup", "mask_interval",
        "asa_importance_beta", "asa_uncertainty_beta", "asa_schedule_exponent",
    }
)  # fmt: skip
"""Fields of PEFT's configurations that change nothing here, or that no one but us may set."""


def method(name: str, kinds: frozenset[str]) -> Method | None:
    """What is known by a name; ``None`` if nothing is.

    Args:
        name: in lower case.
        kinds: the values of ``PeftType`` that PEFT has a configuration for.
    """
    if name in METHODS:
        return METHODS[name]
    if name.upper() not in kinds:
        return None
    return Method(kind=name.upper(), paper=f"{MANUAL}/{name}")
