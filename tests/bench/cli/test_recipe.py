from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bench.cli.recipe import Inputs, command_for, inputs_of, program_for
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.spec import TrainSettings, TrialSpec
from bench.records.study_record import StudyRecord
from bench.records.trial_record import Status, TrialRecord
from bench.space import find_space
from bench.strategy import Strategy, find_strategy, installed_strategies
from bench.study.arm import make_arm
from bench.study.experiment import Experiment, prepare
from bench.training.trial import Trial
from bench.training.worker_state import Workbench
from bench.tune.plan import make_plan
from strategies.lora import LoRA
from strategies.prompt import Prompt
from tests.helpers import records
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.peft_methods import WELL_KNOWN, peft
from tests.helpers.requests import recorded_request, typed_request, typed_study

BUNDLED = Inputs(model="bundled", dataset="elementary", limits={}, file=None)


def configuration(strategy: Strategy, rate: float, seed: int = 3) -> TrialRecord:
    """The record of a trial of this configuration."""
    spec = TrialSpec(
        study="demo",
        arm="arm",
        number=7,
        task=MultipleChoice(),
        strategy=strategy,
        learning_rate=rate,
        seed=seed,
        settings=TrainSettings(),
        data="",
        model="",
        code="",
        context="",
    )
    return TrialRecord.of(spec, Status.COMPLETED)


def read_back(command: str) -> tuple[Strategy, float, Any]:
    """What a command trains: strategy instance, learning rate, and all keys of its study."""
    study = typed_study(command)
    (arm,) = study.arms
    assert study.planned(arm) == 1
    assert dict(arm.space.knobs) == {}
    return *arm.build({}), study.file


def asked_of(command: str, **changes: Any) -> StudyRecord:
    """The record of a study that a command asked for."""
    return records.study(command=command, request=recorded_request(command), **changes)


NAMES = [*sorted(installed_strategies().found), *(strategy.name for strategy in WELL_KNOWN)]


@pytest.mark.parametrize("name", [*NAMES, "peft:gralora"])
def test_the_command_read_back_is_exactly_the_configuration(name: str) -> None:
    arm = make_arm(name, find_strategy(name), find_space(name), {})
    generator = random.Random(name)
    for _ in range(10):
        strategy, rate = arm.build(arm.space.draw(generator))
        told = command_for(records.study(), configuration(strategy, rate), BUNDLED)
        again, same_rate, file = read_back(told)

        assert (again, same_rate) == (strategy, rate)
        assert repr(again) == repr(strategy)
        assert (file.trials, file.confirm, file.halving, file.seed) == (1, 0, False, 3)


def test_settings_limits_and_odd_names_come_back_too() -> None:
    settings = TrainSettings(
        epochs=7, batch_size=4, max_length=64, pooling="mean", micro_batch="auto",
        gradient_checkpointing=True, compile=True,
    )  # fmt: skip
    inputs = Inputs(
        model="my models/it's $HOME", dataset="da ta", limits={"train": 30, "test": 9}, file=None
    )
    told = command_for(records.study(settings=settings), configuration(LoRA(), 1e-3), inputs)
    file = read_back(told)[2]

    assert file.settings == settings
    assert (file.model, file.dataset) == ("my models/it's $HOME", "da ta")
    assert (file.train_limit, file.validation_limit, file.test_limit) == (30, None, 9)
    assert file.name == "demo-arm-007"


def test_settings_without_an_option_come_from_the_studys_file_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = {
        "weight_decay": 0.5, "epochs": 9, "halving": True, "trials": 8, "train_limit": 40,
        "strategies": {"small": {"strategy": "lora", "rank": 2}},
    }  # fmt: skip
    Path("study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    asked = asked_of(
        settings=TrainSettings(weight_decay=0.5, epochs=2),
        command="paretune sweep study.yaml --epochs 2 --validation-limit 20 --out run",
    )
    told = command_for(asked, configuration(LoRA(rank=2), 1e-3), inputs_of(asked))
    strategy, _, file = read_back(told)

    assert strategy == LoRA(rank=2)
    assert file.settings == asked.settings
    assert (file.trials, file.halving, file.train_limit, file.validation_limit) == (
        1,
        False,
        40,
        20,
    )


def test_inputs_are_those_of_the_command_then_of_its_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text("model: a/model\ndataset: questions\ntrain_limit: 5\n")

    typed = inputs_of(asked_of(command="paretune sweep study.yaml --model b --test-limit 3"))
    assert (typed.model, typed.dataset) == ("b", "questions")
    assert typed.limits == {"train": 5, "test": 3}

    preset = inputs_of(asked_of(command="paretune sweep quick"))
    assert (preset.model, preset.dataset) == ("bundled", "elementary")
    assert preset.limits == {"train": 800, "validation": 300}

    asked = asked_of(command="paretune sweep study.yaml --test-limit 3")
    Path("study.yaml").write_text("model: another\n")
    kept = inputs_of(asked)
    assert (kept.model, kept.dataset) == ("a/model", "questions")
    assert kept.limits == {"train": 5, "test": 3}


def test_a_model_of_the_hub_is_pinned_to_the_revision_that_was_used() -> None:
    asked = asked_of(command="paretune sweep --model owner/name", model_fingerprint="revision:0a1b")
    assert inputs_of(asked).model == "owner/name@0a1b"


def test_home_is_found_and_hidden_again() -> None:
    asked = asked_of(command="paretune sweep --model ~/models/tiny")
    inputs = inputs_of(asked)

    assert inputs.model == str(Path.home() / "models/tiny")
    assert "--model ~/models/tiny " in command_for(asked, configuration(LoRA(), 1e-3), inputs)


def test_names_with_a_colon_become_file_names_without_one() -> None:
    record = configuration(peft("ia3"), 1e-3).model_copy(update={"arm": "peft:ia3"})
    told = command_for(records.study(), record, BUNDLED)
    assert "--name demo-peft-ia3-007 " in told
    assert "--strategies peft:ia3 --set peft:ia3.init_ia3_weights=true" in told
    program = program_for(records.study(), record, BUNDLED)
    assert program is not None
    assert "find_strategy('peft:ia3')(init_ia3_weights=True)" in program
    assert "Path('peft-ia3-007.safetensors')" in program


def test_there_is_no_program_for_a_strategy_that_is_not_installed() -> None:
    record = configuration(LoRA(), 1e-3).model_copy(update={"strategy": "gone"})

    assert program_for(records.study(), record, BUNDLED) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyRecord, TrialRecord]:
    """A trial of a study on a tiny model and tiny data, as a worker runs it, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    command = (
        "paretune sweep --model model --dataset data --strategies prompt --epochs 2"
        " --max-length 32 --precision fp32 --train-limit 30 --batch-size 4 --pooling mean"
    )
    write_model(folder / "model")
    write_dataset(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepared = prepared_by(command)
        spec = prepared.spec(
            prepared.study.arms[0], 2, {"learning_rate": 0.0123456789, "length": 3}
        )
        record = ran(prepared, spec, folder / "worker.safetensors")
        study = prepared.record(truncated=0.0, tokenise_seconds=0.0, notices=())
    return folder, study, record


def prepared_by(command: str) -> Experiment:
    return prepare(typed_study(command), Path("run"), typed_request(command))


def ran(prepared: Experiment, spec: TrialSpec, checkpoint: Path) -> TrialRecord:
    workbench = Workbench(
        backbone=prepared.source.backbone(),
        train=prepared.tokens("train"),
        validation=prepared.tokens("validation"),
        device=torch.device("cpu"),
        precision="fp32",
        device_shared=False,
    )
    trial = Trial(spec, workbench, checkpoint)
    while not (progress := trial.advance()).ended:
        pass
    assert progress.record.status is Status.COMPLETED, progress.record.reason
    return progress.record


def test_the_command_runs_the_very_same_trial(
    trained: tuple[Path, StudyRecord, TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, study, record = trained
    monkeypatch.chdir(folder)
    prepared = prepared_by(command_for(study, record, inputs_of(study)))
    spec = make_plan(prepared).next()

    assert spec is not None
    assert spec.strategy == Prompt(length=3)
    assert spec.fingerprint == record.fingerprint
    assert ran(prepared, spec, folder / "again.safetensors").accuracy == record.accuracy


def test_the_program_trains_the_very_same_model_and_loads_it(
    trained: tuple[Path, StudyRecord, TrialRecord],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, study, record = trained
    monkeypatch.chdir(folder)
    text = program_for(study, record, inputs_of(study))
    assert text is not None
    names: dict[str, Any] = {}
    exec(compile(text, "program.py", "exec"), names)

    assert record.accuracy is not None
    assert names["progress"].record.accuracy == record.accuracy
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == f"completed {record.accuracy.validation}"
    workbench = names["workbench"]
    answers = workbench.answers(names["model"], workbench.validation)
    assert tuple(answers.given.tolist()) == record.accuracy.predictions
    assert (folder / "prompt-002.safetensors").is_file()
