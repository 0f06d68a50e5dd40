"""Studies: files, options and presets, checked whole before anything runs."""

import re
from pathlib import Path
from typing import Any

import pytest

from bench.errors import StudyError
from bench.records.spec import TrainSettings
from bench.records.study_record import Halving
from bench.space import LEARNING_RATE
from bench.strategy import installed_strategies
from bench.study.file import StudyFile, load_study, preset


def problems(*sets: str, path: Path | None = None, **keys: Any) -> list[str]:
    with pytest.raises(StudyError) as caught:
        load_study(path, keys, sets)
    return list(caught.value.problems)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def test_without_a_file_every_installed_strategy_is_compared() -> None:
    study = load_study(None, {})
    assert [arm.name for arm in study.arms] == list(installed_strategies().found)
    assert study.name == "elementary-bundled"


def test_a_study_is_called_by_its_key_or_its_file(file: Path) -> None:
    file.write_text("strategies: [lora]\n")
    assert load_study(file, {}).name == "mine"
    assert load_study(file, {"name": "other"}).name == "other"


def test_a_study_without_a_name_is_called_after_dataset_and_model() -> None:
    named = {"dataset": "some/where/my data/", "model": "owner/bert-tiny", "strategies": "full"}
    assert load_study(None, named).name == "my-data-bert-tiny"


def test_options_override_the_file(file: Path) -> None:
    file.write_text("trials: 7\nepochs: 5\nstrategies: [lora, full]\n")
    study = load_study(file, {"trials": 2, "strategies": "full"})
    assert (study.file.trials, study.file.epochs) == (2, 5)
    assert [arm.name for arm in study.arms] == ["full"]


def test_the_training_settings_of_a_study_are_those_of_its_keys() -> None:
    study = load_study(None, {"strategies": "full", "epochs": 9, "pooling": "mean"})
    assert study.file.settings == TrainSettings(epochs=9, pooling="mean")


def test_switches_are_keys_and_a_switch_is_no_number(file: Path) -> None:
    file.write_text("gradient_checkpointing: true\ncompile: true\n")
    settings = load_study(file, {"compile": False}).file.settings
    assert (settings.gradient_checkpointing, settings.compile) == (True, False)
    (told,) = problems(epochs=True)
    assert "is a switch" in told


def test_defaults_of_a_study_are_those_of_the_training_settings() -> None:
    assert StudyFile().settings == TrainSettings()


def test_halving_is_off_unless_asked_for_and_no_part_of_the_training_settings() -> None:
    assert load_study(None, {}).file.halving_rule is None
    asked = {"halving": True, "reduction_factor": 4, "grace_epochs": 2}
    study = load_study(None, asked)
    assert study.file.halving_rule == Halving(reduction_factor=4, grace_epochs=2)
    assert study.file.settings == load_study(None, {}).file.settings


def test_halving_without_a_rung_is_refused_with_the_way_out() -> None:
    (told,) = problems(halving=True, grace_epochs=3, epochs=3)
    assert "no rung, since grace_epochs < epochs must hold, got grace_epochs = 3" in told
    assert "raise --epochs, lower --grace-epochs" in told
    assert load_study(None, {"grace_epochs": 3, "epochs": 3})


@pytest.mark.parametrize("strategies", ["lora, full", ["lora", "full"], {"lora": {}, "full": None}])
def test_arms_can_be_listed_in_three_ways(strategies: object) -> None:
    study = load_study(None, {"strategies": strategies})
    assert [arm.name for arm in study.arms] == ["lora", "full"]


def test_an_arm_with_another_name_tells_its_strategy(file: Path) -> None:
    file.write_text("strategies:\n  lora: {}\n  lora-small: {strategy: lora, rank: 2}\n")
    big, small = load_study(file, {}).arms
    assert (big.name, small.name) == ("lora", "lora-small")
    assert big.strategy is small.strategy
    assert small.fixed == {"rank": 2}
    assert "rank" in big.space.knobs


def test_an_unknown_strategy_tells_the_close_and_the_installed_ones() -> None:
    (told,) = problems(strategies={"mine": {"strategy": "lroa"}})
    assert told.startswith(
        "mine: unknown strategy 'lroa' (did you mean lora?); installed are adapter, bitfit, full"
    )
    assert told.endswith(", peft:…")


@pytest.mark.parametrize("strategy", [["lora"], {"lora": 1}, 3])
def test_a_strategy_that_is_no_name_is_told(strategy: object) -> None:
    (told,) = problems(strategies={"mine": {"strategy": strategy}})
    assert told == f"mine: unknown strategy {strategy!r}; a name is needed"


def test_two_arms_whose_files_would_be_called_the_same_are_told() -> None:
    arms = {"a:b": {"strategy": "lora"}, "a-b": {"strategy": "lora"}}
    assert problems(strategies=arms) == [
        "a-b: its files would be called as those of a:b; rename an arm"
    ]


@pytest.mark.parametrize(
    ("text", "knob", "value"),
    [
        ("lora.rank=2", "rank", 2),
        (" lora.dropout = 0.1", "dropout", 0.1),
        ("lora.targets=attention", "targets", "attention"),
        ("lora.learning_rate=1e-4", LEARNING_RATE, 1e-4),
    ],
)
def test_a_set_option_fixes_a_knob(text: str, knob: str, value: object) -> None:
    (arm,) = load_study(None, {"strategies": "lora"}, [text]).arms
    assert arm.fixed == {knob: value}


def test_a_set_option_takes_a_range_and_wins_over_the_file(file: Path) -> None:
    file.write_text("strategies: {lora: {rank: 4}}\n")
    (arm,) = load_study(file, {}, ["lora.rank={low: 2, high: 3}"]).arms
    assert arm.space.knobs["rank"].ends == (2, 3)
    assert arm.fixed == {}


def test_wrong_set_options_are_all_told() -> None:
    told = problems(
        "lora=3", "rank=3", "nope.rank=3", "lora.rank=[", "lora.rank=2020-13-45", "lora.colour=red",
        strategies="lora",
    )  # fmt: skip
    assert told[:5] == [
        "--set lora=3: must be arm.knob=value, such as lora.rank=8",
        "--set rank=3: must be arm.knob=value, such as lora.rank=8",
        "--set nope.rank=3: no arm 'nope'; the study has lora",
        "--set lora.rank=[: '[' is no YAML value",
        "--set lora.rank=2020-13-45: '2020-13-45' is no YAML value",
    ]
    assert told[5].startswith("lora.colour = 'red': no such knob")
    assert len(told) == 6


def test_every_wrong_key_of_a_file_is_told(file: Path) -> None:
    file.write_text(
        "trials: 0\nepochs: many\nlearning_rate: 1\nsampler: grid\nhead_dropout: .nan\n"
        "name: ../evil\nmax_length: 4\nstrategies: [lora]\n"
    )
    told = problems(path=file)
    assert sorted(sentence.split(" = ")[0] for sentence in told) == [
        f"{file.name}:{line}: {key}"
        for line, key in enumerate(
            ["trials", "epochs", "learning_rate", "sampler", "head_dropout", "name", "max_length"],
            start=1,
        )
    ]
    (unknown,) = [sentence for sentence in told if "learning_rate" in sentence]
    assert "no such key; keys are name, model, dataset" in unknown


def test_every_wrong_arm_of_a_file_is_told(file: Path) -> None:
    file.write_text(
        "strategies:\n  lora: {rnak: 8, rank: x}\n  magic: {}\n  a/b: {strategy: full}\n"
        "  prefix: {length: 0}\n"
    )
    told = problems(path=file)
    starts = [
        "2: lora.rnak = 8: ",
        "2: lora.rank = 'x': ",
        "3: magic: unknown strategy 'magic'",
        "4: a/b: a name must match",
        "5: prefix: ",
    ]
    for sentence, start in zip(told, starts, strict=True):
        assert sentence.startswith(f"{file.name}:{start}")
    assert "did you mean rank?" in told[0]


def test_a_number_that_yaml_reads_as_text_is_a_number(file: Path) -> None:
    file.write_text("weight_decay: 1e-4\nstrategies: {lora: {learning_rate: 1e-4}}\n")
    study = load_study(file, {})
    assert study.file.weight_decay == 1e-4
    assert study.arms[0].fixed == {LEARNING_RATE: 1e-4}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "must be a mapping of keys"),
        (b"- lora\n", "must be a mapping of keys"),
        (b"1: lora\n", "must be a mapping of keys"),
        (b"trials: [3\n", "is no YAML"),
        (b"name: 2020-13-45\n", "is no YAML"),
        (b"name: !!python/object/apply:os.getcwd []\n", "is no YAML"),
        (b"name: caf\xe9\n", "can't decode byte 0xe9"),
    ],
)
def test_a_file_that_is_no_study_is_named_with_its_fault(
    file: Path, content: bytes, fault: str
) -> None:
    file.write_bytes(content)
    (told,) = problems(path=file)
    assert re.match(rf"{file}(:\d+)?: ", told)
    assert fault in told


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    assert problems(path=file) == [f"{file}: No such file or directory"]


def test_a_byte_order_mark_is_no_fault(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbftrials: 3\nstrategies: [full]\n")
    assert load_study(file, {}).file.trials == 3


def test_a_study_without_arms_is_refused() -> None:
    assert problems(strategies=[]) == ["strategies: name at least one"]


def test_planned_trials_are_the_budget_or_the_size_of_the_space() -> None:
    knobs = {"learning_rate": 1e-3, "rank": {"low": 1, "high": 3}, "targets": "attention"}
    arms = {"lora": {}, "small": {"strategy": "lora", **knobs}, "linear": {"learning_rate": 1e-2}}
    study = load_study(None, {"strategies": arms, "trials": 5})
    assert [study.planned(arm) for arm in study.arms] == [5, 3, 1]


@pytest.mark.parametrize("name", ["quick", "reference", "thorough"])
def test_a_preset_loads_and_is_called_by_its_name(name: str) -> None:
    study = load_study(preset(name), {})
    assert study.name == name
    assert study.arms
    for arm in study.arms:
        for start in arm.space.starts:
            arm.build(arm.complete(start))


def test_every_preset_that_is_shipped_is_tested_here() -> None:
    shipped = {path.stem for path in preset("quick").parent.glob("*.yaml")}
    assert shipped == {"quick", "reference", "thorough"}


def test_the_thorough_preset_compares_every_strategy() -> None:
    study = load_study(preset("thorough"), {})
    assert [arm.name for arm in study.arms] == list(installed_strategies().found)
    assert study.file.halving_rule


def test_the_reference_preset_has_the_published_shapes() -> None:
    study = load_study(preset("reference"), {})
    fixed = {arm.name: (arm.strategy.name, dict(arm.fixed)) for arm in study.arms}
    lora = {"rank": 4, "alpha_ratio": 4.0, "dropout": 0.05, "targets": "query_value"}
    assert fixed == {
        "full": ("full", {}),
        "adapter-as-published": (
            "adapter",
            {"placement": "post_hoc", "bottleneck": 64, "activation": "relu"},
        ),
        "adapter": ("adapter", {"placement": "houlsby", "bottleneck": 64, "activation": "relu"}),
        "lora-as-published": ("lora", lora | {"init": "gaussian"}),
        "lora": ("lora", lora | {"init": "zeros"}),
        "prompt-as-published": ("prompt", {"length": 5, "double_embedding": True}),
        "prompt": ("prompt", {"length": 5, "double_embedding": False}),
    }
    assert all(set(arm.space.knobs) == {LEARNING_RATE} for arm in study.arms)
    assert {study.planned(arm) for arm in study.arms} == {study.file.trials}
    assert (study.file.model, study.file.dataset) == ("bert-base-uncased", "openbookqa")
    assert (study.file.pooling, study.file.head_dropout) == ("cls", 0.1)
