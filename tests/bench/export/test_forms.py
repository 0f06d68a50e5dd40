"""Every strategy in every form: equal logits after a round trip, or a refusal with the reason."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tasks.sequence_classification import SequenceClassification
from bench.errors import ExportRefused, StorageError
from bench.export.forms import FORMS
from bench.export.forms.native import Native
from bench.export.logits import logits_of
from bench.export.predict import load_export
from bench.export.snippet import snippet
from bench.export.trained import Trained, find_base
from bench.export.write import Checked, write_export
from bench.pretrained.source import locate
from bench.strategy import Strategy, find_strategy, installed_strategies
from bench.task import AnyTask
from bench.training.measure import trained_tensors
from strategies.full import Full
from strategies.lora import LoRA
from strategies.prefix import Prefix
from strategies.prompt import Prompt
from tests.helpers.exports import (
    CPU,
    Logits,
    logits_elsewhere,
    make_manifest,
    make_trained,
    snippet_of,
)
from tests.helpers.peft_methods import OTHERS, WELL_KNOWN, peft
from tests.helpers.tiny import CONFIGS
from tests.helpers.trials import make_spec

EQUAL = 1e-5
NO_PAST = ("albert", "distilbert", "modernbert")
"""Families that do not take what PEFT hands a prefix over as."""

FITS = {
    "adapter": {"native"},
    "bitfit": {"native", "merged"},
    "full": {"native", "merged"},
    "linear": {"native", "merged"},
    "lora": {"native", "merged", "peft"},
    "prefix": {"native", "peft"},
    "prompt": {"native", "peft"},
}
REASONS = {
    ("adapter", "peft"): "PEFT has no such method",
    ("adapter", "merged"): "tensors beside the pretrained ones",
    ("bitfit", "peft"): "PEFT has no such method",
    ("full", "peft"): "PEFT has no such method",
    ("linear", "peft"): "PEFT has no such method",
    ("prefix", "merged"): "tensors beside the pretrained ones",
    ("prefix", "peft"): "which .* does not take",
    ("prompt", "merged"): "it answers by a Prompted",
}
LABELS = SequenceClassification(labels=("bad", "good", "rare"))
PAIRS = SequenceClassification(labels=("no", "yes"), pairs=True)
TASKS = {"questions": MultipleChoice(), "labels": LABELS, "pairs": PAIRS}

ELSEWHERE = [
    ("lora", "peft", "bert", "cls"),
    ("prompt", "peft", "bert", "mean"),
    ("prefix", "peft", "bert", "cls"),
    ("full", "merged", "bert", "mean"),
    ("bitfit", "merged", "bert", "last"),
    ("lora", "merged", "electra", "cls"),
    ("lora", "peft", "qwen3", "last"),
    ("prompt", "peft", "qwen3", "last"),
    ("prefix", "peft", "qwen3", "last"),
    ("prefix", "peft", "roberta", "cls"),
    ("prompt", "peft", "deberta-v2", "cls"),
    ("lora", "merged", "qwen3", "mean"),
    ("lora", "peft", "bert", "cls", "labels"),
    ("prefix", "peft", "qwen3", "last", "pairs"),
    ("prompt", "peft", "bert", "cls", "pairs"),
    ("full", "merged", "qwen3", "mean", "labels"),
    ("peft:dora", "peft", "bert", "cls"),
    ("peft:vera", "peft", "qwen3", "last"),
    ("peft:p_tuning", "peft", "bert", "mean"),
    ("peft:prefix_tuning", "peft", "bert", "cls"),
    ("peft:oft", "merged", "bert", "cls"),
    # Its tokenizer leaves the parts of a pair out until it is asked for them.
    ("lora", "merged", "albert", "cls"),
    ("prompt", "peft", "albert", "cls", "pairs"),
]
"""Strategy, form, family, pooling and task of what is loaded where paretune is not."""


def no_card(_: Checked) -> str:
    return ""


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert", "qwen3"])
@pytest.mark.parametrize("name", FITS)
def test_every_form_gives_equal_logits_or_says_why_not(
    tmp_path: Path, name: str, family: str
) -> None:
    check_forms(tmp_path, name, family)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(CONFIGS.keys() - {"bert", "electra", "distilbert"}))
@pytest.mark.parametrize("name", FITS)
def test_every_form_does_so_in_the_other_families(tmp_path: Path, name: str, family: str) -> None:
    check_forms(tmp_path, name, family)


@pytest.mark.parametrize("task", [LABELS, PAIRS], ids=["labels", "pairs"])
@pytest.mark.parametrize("name", FITS)
def test_every_form_does_so_for_labelled_texts(
    tmp_path: Path, name: str, task: SequenceClassification
) -> None:
    check_forms(tmp_path, name, "bert", task)


def check_forms(folder: Path, name: str, family: str, task: AnyTask = TASKS["questions"]) -> None:
    strategy = installed_strategies().found[name]()
    if reason := strategy.refuse(CONFIGS[family]()):
        pytest.skip(reason)
    trained = make_trained(folder / "model", strategy, family, task)
    fitting = FITS[name] - ({"peft"} if name == "prefix" and family in NO_PAST else set())
    for form in FORMS.values():
        target = folder / form.name
        manifest = make_manifest(trained, form.name)
        if form.name in fitting:
            assert write_export(form, trained, manifest, target, no_card).apart <= EQUAL
            base = form.base(target, manifest, partial(find_base, manifest.base))
            loaded = form.load(target, manifest, base)
            batches = trained.sample.shortest_first(3)
            with torch.no_grad():
                for batch in batches:
                    expected = trained.model()(batch)
                    torch.testing.assert_close(loaded(batch), expected, rtol=EQUAL, atol=EQUAL)
            continue
        with pytest.raises(ExportRefused, match=REASONS[name, form.name]) as refused:
            write_export(form, trained, manifest, target, no_card)
        assert f"what fits: {', '.join(f for f in FORMS if f in fitting)}" in str(refused.value)
        assert not target.exists()


def test_no_strategy_is_left_out_of_the_table() -> None:
    ours = {kind.name for kind in installed_strategies().found.values()
            if kind.__module__.startswith("strategies.")}  # fmt: skip
    assert {name for name in ours if ":" not in name} == set(FITS)


def test_the_made_up_questions_tell_types_of_tokens_apart(tmp_path: Path) -> None:
    types = make_trained(tmp_path / "model", Full()).sample.split.types
    assert types is not None
    assert set(types) == {0, 1}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Logits, Trained]]:
    """Logits by the programs of cards, in one process without paretune, and what made them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    made = {}
    for name, form, family, pooling, *task in ELSEWHERE:
        strategy, learnt = strategy_called(name), TASKS[(*task, "questions")[0]]
        trained = make_trained(folder / family, strategy, family, learnt, pooling=pooling)
        key = label(name, form, family, pooling, *task)
        made[key] = exported(folder / key, trained, form), trained
    found = logits_elsewhere(dict(made.values()))
    return {key: (given, made[key][1]) for key, given in zip(made, found, strict=True)}


def strategy_called(name: str) -> Strategy:
    """One of ours, or of PEFT in a size that fits a tiny model."""
    family, _, method = name.rpartition(":")
    return peft(method) if family else find_strategy(name)()


def label(*parts: str) -> str:
    return "-".join(parts)


@pytest.mark.parametrize("key", [label(*each) for each in ELSEWHERE])
def test_the_program_of_the_card_gives_the_runs_logits_where_paretune_is_not(
    elsewhere: dict[str, tuple[Logits, Trained]], key: str
) -> None:
    found, trained = elsewhere[key]
    assert len(found) == len(trained.logits)
    for given, expected in zip(found, trained.logits, strict=True):
        inside = expected[np.isfinite(expected)]
        np.testing.assert_allclose(given, inside, rtol=0, atol=EQUAL)


def exported(folder: Path, trained: Trained, form: str) -> Path:
    """An export whose card holds its program alone."""

    def card(checked: Checked) -> str:
        code = snippet(FORMS[form].template, trained, checked.use)
        return f"```python\n{code}```\n"

    write_export(FORMS[form], trained, make_manifest(trained, form), folder, card)
    assert snippet_of(folder)
    return folder


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        (Prompt(double_embedding=True), "embeds the text once"),
        (LoRA(init="gaussian", targets="all_linear", rank=3, alpha_ratio=0.7), None),
        (LoRA(targets="attention", dropout=0.1), None),
        (Prefix(length=3), None),
        (Prompt(length=1), None),
    ],
    ids=repr,
)
def test_knobs_come_along_to_peft_or_are_refused(
    tmp_path: Path, strategy: Strategy, reason: str | None
) -> None:
    trained = make_trained(tmp_path / "model", strategy)
    manifest = make_manifest(trained, "peft")
    if reason is None:
        checked = write_export(FORMS["peft"], trained, manifest, tmp_path / "x", no_card)
        assert checked.apart <= EQUAL
        return
    with pytest.raises(ExportRefused, match=reason):
        write_export(FORMS["peft"], trained, manifest, tmp_path / "x", no_card)


def test_lora_is_written_with_the_scaling_of_peft_and_full_names(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", LoRA(rank=4, alpha_ratio=2.0))
    write_export(FORMS["peft"], trained, make_manifest(trained, "peft"), tmp_path / "x", no_card)
    config = json.loads((tmp_path / "x" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8.0)
    assert "encoder.layer.0.attention.self.query" in config["target_modules"]
    names = set(load_file(tmp_path / "x" / "adapter_model.safetensors"))
    assert "base_model.model.encoder.layer.1.attention.self.value.lora_B.weight" in names


def test_only_safetensors_hold_weights(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", LoRA())
    for form in FORMS.values():
        manifest = make_manifest(trained, form.name)
        write_export(form, trained, manifest, tmp_path / form.name, no_card)
        kinds = {path.suffix for path in (tmp_path / form.name).rglob("*")}
        assert kinds <= {".safetensors", ".json", ".md", ".txt", ".jinja"}


def test_a_multiple_choice_class_is_used_where_it_computes_the_same(tmp_path: Path) -> None:
    told = {}
    for family in ("electra", "bert"):
        trained = make_trained(tmp_path / family, LoRA(), family)
        target = tmp_path / f"{family}-out"
        manifest = make_manifest(trained, "merged")
        told[family] = write_export(FORMS["merged"], trained, manifest, target, no_card).told[0]
        assert (target / "head.safetensors").exists() == (family == "bert")
    assert "`ElectraForMultipleChoice` computes the same" in told["electra"]
    assert "`BertForMultipleChoice` reads `bert.pooler.dense` too" in told["bert"]


def test_the_head_for_labels_lies_beside_what_would_read_more(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", LoRA(), "bert", LABELS)
    target, manifest = tmp_path / "x", make_manifest(trained, "merged")
    (told,) = write_export(FORMS["merged"], trained, manifest, target, no_card).told
    assert "`BertForSequenceClassification` reads `bert.pooler.dense` too" in told
    assert load_file(target / "head.safetensors")["weight"].shape[0] == len(LABELS.labels)


def test_a_head_without_a_bias_is_not_taken_for_one_with_it(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", LoRA(), "qwen3", LABELS)
    (told,) = write_export(
        FORMS["merged"], trained, make_manifest(trained, "merged"), tmp_path / "x", no_card
    ).told
    assert "`Qwen3ForSequenceClassification` has no `score.bias`" in told


@pytest.mark.parametrize("family", ["bert", "qwen3"])
@pytest.mark.parametrize("strategy", WELL_KNOWN, ids=lambda strategy: strategy.name)
def test_every_known_method_of_peft_leaves_as_its_adapter(
    tmp_path: Path, strategy: Strategy, family: str
) -> None:
    check_adapter(tmp_path, strategy, family)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch of SHiRA, once per process
@pytest.mark.parametrize("strategy", OTHERS, ids=lambda strategy: strategy.name)
def test_every_other_method_of_peft_does_so_too(tmp_path: Path, strategy: Strategy) -> None:
    check_adapter(tmp_path, strategy, "bert")


def check_adapter(folder: Path, strategy: Strategy, family: str) -> None:
    if reason := strategy.refuse(CONFIGS[family]()):
        pytest.skip(reason)
    trained = make_trained(folder / "model", strategy, family)
    manifest = make_manifest(trained, "peft")
    checked = write_export(FORMS["peft"], trained, manifest, folder / "x", no_card)
    assert checked.apart <= EQUAL


@pytest.mark.parametrize("form", list(FORMS))
def test_a_model_that_is_no_folder_of_its_own_is_read_back_too(tmp_path: Path, form: str) -> None:
    source = locate("bundled")
    spec = make_spec(LoRA(rank=2))
    fresh = Trained(spec, source, {}).workbench.adapted(spec)
    trained = Trained(spec, source, trained_tensors(fresh))
    manifest = make_manifest(trained, form)
    assert manifest.base.address == "bundled"
    write_export(FORMS[form], trained, manifest, tmp_path / "x", no_card)
    loaded = load_export(tmp_path / "x")
    given = logits_of(loaded.model, trained.sample, CPU)
    np.testing.assert_allclose(given, trained.logits, rtol=0, atol=EQUAL)


class Wrong(Native):
    """Loads a model that has been changed."""

    def load(self, *given: object) -> nn.Module:  # type: ignore[override]
        model = super().load(*given)  # type: ignore[arg-type]
        nn.init.normal_(model.head.weight)  # type: ignore[union-attr, arg-type]
        return model


class Breaks(Native):
    """Fails while it writes."""

    def write(self, trained: Trained, folder: Path) -> list[str]:
        super().write(trained, folder)
        raise OSError(28, "No space left on device")


def test_what_gives_other_logits_when_read_back_is_not_kept(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", Full())
    with pytest.raises(ExportRefused, match="gives other logits, up to"):
        write_export(Wrong(), trained, make_manifest(trained, "native"), tmp_path / "x", no_card)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", Full())
    with pytest.raises(StorageError, match="No space left"):
        write_export(Breaks(), trained, make_manifest(trained, "native"), tmp_path / "x", no_card)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("held", ["file", "folder"])
def test_what_is_there_is_never_written_over(tmp_path: Path, held: str) -> None:
    trained = make_trained(tmp_path / "model", Full())
    target = tmp_path / "x"
    (target / "mine").mkdir(parents=True) if held == "folder" else target.write_text("mine")
    with pytest.raises(ExportRefused, match="--to"):
        write_export(Native(), trained, make_manifest(trained, "native"), target, no_card)
    assert target.exists()


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    trained = make_trained(tmp_path / "model", Full())
    (tmp_path / "x").mkdir()
    write_export(Native(), trained, make_manifest(trained, "native"), tmp_path / "x", no_card)
    assert (tmp_path / "x" / "paretune.json").exists()
