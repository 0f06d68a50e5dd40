from pathlib import Path

import pytest

from bench.doctor.examine import Needs
from bench.errors import InputError
from bench.study.experiment import prepare
from bench.study.file import load_study
from bench.study.run_options import RunOptions
from tests.helpers.folders import write_dataset, write_model


def test_a_model_without_a_first_token_of_its_own_is_not_read_at_it(tmp_path: Path) -> None:
    write_model(tmp_path / "model", family="llama", first_token=False)
    data = str(write_dataset(tmp_path / "data"))
    asked = {"model": str(tmp_path / "model"), "dataset": data, "strategies": "lora"}

    with pytest.raises(InputError, match="use --pooling last"):
        prepare(load_study(None, asked), tmp_path / "run")
    assert prepare(load_study(None, {**asked, "pooling": "last"}), tmp_path / "run")


def test_a_skipped_arm_is_known_before_anything_runs(tmp_path: Path) -> None:
    write_model(tmp_path / "model", family="llama", first_token=False)
    data = str(write_dataset(tmp_path / "data"))
    asked = {
        "model": str(tmp_path / "model"),
        "dataset": data,
        "strategies": "lora,bitfit",
        "pooling": "last",
    }

    refused = prepare(load_study(None, asked), tmp_path / "run").refusals()

    assert list(refused) == ["bitfit"]


def test_a_method_of_peft_that_does_not_fit_is_known_before_with_pefts_reason(
    tmp_path: Path,
) -> None:
    write_model(tmp_path / "model", family="distilbert")
    data = str(write_dataset(tmp_path / "data"))
    asked = {
        "model": str(tmp_path / "model"),
        "dataset": data,
        "strategies": "lora,peft:ia3,peft:prefix_tuning",
    }
    prepared = prepare(load_study(None, asked), tmp_path / "run")

    assert list(prepared.refusals()) == ["peft:prefix_tuning"]
    assert "past key values" in prepared.refusals()["peft:prefix_tuning"]
    assert Needs.of(prepared, RunOptions()).modules == ("peft",)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_enters_as_a_cache_is_refused_with_gradient_checkpointing_alone(
    checkpointing: bool, tmp_path: Path
) -> None:
    write_model(tmp_path / "model")
    data = str(write_dataset(tmp_path / "data"))
    asked = {
        "model": str(tmp_path / "model"),
        "dataset": data,
        "strategies": "prefix,peft:prefix_tuning",
        "gradient_checkpointing": checkpointing,
    }
    refusals = prepare(load_study(None, asked), tmp_path / "run").refusals()

    assert list(refusals) == (["peft:prefix_tuning"] if checkpointing else [])
    assert all("leave --gradient-checkpointing out" in reason for reason in refusals.values())


def test_what_the_study_record_says_holds_for_its_own_trials_only(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    data = str(write_dataset(tmp_path / "data"))
    asked = {"model": str(tmp_path / "model"), "dataset": data, "strategies": "lora", "trials": 2}
    contexts = {
        key: prepare(load_study(None, {**asked, **change}, sets), tmp_path / "run")
        .record(truncated=0.0, tokenise_seconds=0.0, notices=())
        .contexts["lora"]
        for key, change, sets in (
            ("same", {}, ()),
            ("more trials", {"trials": 9}, ()),
            ("halving", {"halving": True, "reduction_factor": 2}, ()),
            ("epochs", {"epochs": 7}, ()),
            ("seed", {"seed": 1}, ()),
            ("sampler", {"sampler": "random"}, ()),
            ("fixed knob", {}, ("lora.rank=2",)),
            ("range", {}, ("lora.rank={low: 1, high: 2}",)),
            ("less data", {"train_limit": 5}, ()),
        )
    }

    assert contexts["same"] == contexts["more trials"] == contexts["halving"]
    assert len(set(contexts.values())) == len(contexts) - 2
