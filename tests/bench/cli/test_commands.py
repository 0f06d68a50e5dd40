from __future__ import annotations

import json
import os
import re
from pathlib import Path
from unittest import mock

import pytest
from transformers import AutoModelForCausalLM

from bench.cli import main
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.tiny import CONFIGS


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, run in this process."""
    monkeypatch.setattr("sys.argv", ["paretune", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    return int(ended.value.code or 0), output.out, output.err


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):  # a command sets variables for its own process
        yield lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sweep", "missing.yaml"], "missing.yaml: No such file"),
        (["sweep", "quik"], "presets are quick, reference, thorough"),
        (["sweep", "--strategies", "lora,lorra"], "'lorra' (did you mean lora?); installed"),
        (["sweep", "--strategies", "lora", "--set", "lora.rnk=8"], "did you mean rank?"),
        (["sweep", "--trials", "0"], "trials = 0: "),
        (["sweep", "--pooling", "max"], "'cls', 'mean' or 'last'"),
        (["sweep", "--dataset", "nowhere"], "nor a folder of train, validation"),
        (["sweep", "--name", "../up"], "name = '../up'"),
        (["sweep", "--max-length", "4096"], "the model has 512 positions"),
        (["sweep", "--halving", "--epochs", "1"], "raise --epochs, lower --grace-epochs"),
        (["sweep", "--halving", "--grace-epochs", "3"], "grace_epochs = 3, epochs = 3"),
        (["sweep", "--reduction-factor", "1"], "reduction_factor = 1: "),
        (["sweep", "--grace-epochs", "0"], "grace_epochs = 0: "),
        (["sweep", "--time-budget", "soon"], "such as 90s, 30m, 2h, 1h30m or plain seconds"),
        (["sweep", "--time-budget", "0"], "must be a time above 0"),
        (["sweep", "--max-gpu-hours", "0"], "must be a number above 0"),
        (["sweep", "--workers", "0"], "--workers 0: must be 1 or more"),
        (["leaderboard", "nowhere"], "no study.json here"),
        (["report", "nowhere"], "no study.json here"),
        (["datasets", "nowhere"], "neither a known name"),
        (["nonsense"], "No such command"),
        (["sweep", "--epochs", "many"], "Invalid value for"),
    ],
)
def test_bad_input_is_one_message_with_exit_code_2_and_nothing_written(
    command, tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, _, error = command(*arguments)

    assert code == 2
    assert told in " ".join(error.split())
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_what_the_model_or_the_machine_cannot_do_is_refused_in_one_message(
    command, tmp_path: Path
) -> None:
    from torch._inductor import config

    model = write_model(tmp_path / "mpnet", family="mpnet")
    data = write_dataset(tmp_path / "data")
    asked = ("sweep", "--model", str(model), "--dataset", str(data), "--compile")
    asked = (*asked, "--gradient-checkpointing", "--max-length", "128", "--out", "run")
    with config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        code, _, error = command(*asked)

    told = " ".join(error.split())
    assert code == 2
    assert "--compile: torch.compile needs a C++ compiler and there is none" in told
    assert "install g++" in told
    assert "transformers has no gradient checkpointing for MPNetModel; leave it out" in told
    assert "--max-length 128: the model has 126 positions" in told
    assert not (tmp_path / "run").exists()


def test_every_fault_of_data_and_model_is_in_one_message(command, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    train, test = data / "train.jsonl", data / "test.jsonl"
    train.write_bytes(train.read_bytes()[:-30])
    test.write_text(test.read_text().replace('"answerKey": "A"', '"answerKey": "Z"', 1))
    before = sorted(tmp_path.rglob("*"))

    code, _, error = command(
        "sweep", "--model", "no such model", "--dataset", str(data), "--out", str(tmp_path / "run")
    )

    assert code == 2
    assert "3 problems" in error
    assert "train.jsonl:48: row: is no complete JSON" in error
    assert 'answerKey: must be one of A, B, C, D, got "Z"' in error
    assert "'no such model' is no folder here" in error
    assert sorted(tmp_path.rglob("*")) == before


def test_the_number_of_a_line_is_not_taken_for_a_picture(command, tmp_path: Path) -> None:
    rows = [f"text {number}," + ("good" if number != 100 else "") for number in range(2, 120)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]))

    code, _, error = command("datasets", "data.csv")

    assert code == 2
    assert "data.csv:100: label: must be" in error


def test_an_error_is_a_json_document_too(command) -> None:
    code, output, _ = command("sweep", "--json", "--set", "nothing")

    assert code == 2
    assert "must be arm.knob=value" in json.loads(output)["problems"][0]


def test_a_folder_with_other_things_in_it_is_not_taken_for_a_run(command, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("keep me")
    code, _, error = command("sweep", "--out", str(tmp_path))

    assert code == 2
    assert "holds thesis.tex but no study" in error


def test_strategies_are_listed_with_what_they_train(command) -> None:
    code, output, _ = command("strategies")

    assert code == 0
    assert "74,113" in output  # LoRA, rank 8, query and value: 6·2·8·(384 + 384) + 385
    assert "22,565,761" in output
    assert "learning_rate" in output
    assert re.search(r"peft:ia3 +│ +16,513 ", output)  # 6·(3·384 + 1536) + 385
    told = " ".join(output.split())
    assert "with the learning rate alone searched: peft:adaption_prompt, peft:shira" in told


def test_datasets_are_listed_and_described(command) -> None:
    listed = command("datasets")
    described = command("datasets", "elementary")

    assert "openbookqa" in listed[1]
    assert described[0] == 0
    assert "2400" in described[1]
    assert "0.250" in described[1]


def test_a_decoder_is_scored_by_likelihood_too_or_it_is_told_why_not(
    command, tmp_path: Path
) -> None:
    folder, data = tmp_path / "decoder", write_dataset(tmp_path / "data", validation=4, test=4)
    write_model(folder, family="llama", first_token=False)
    asked = ("datasets", str(data), "--model", str(folder))
    without = " ".join(command(*asked)[1].split())
    AutoModelForCausalLM.from_config(CONFIGS["llama"]()).save_pretrained(folder)
    code, output, _ = command(*asked)

    told = "zero-shot likelihood of decoder on validation: none (decoder: 1 tensors of a llama"
    assert told in without
    assert code == 0
    scores = re.findall(r"zero-shot likelihood of decoder on (\w+): [01]\.\d{3}", output)
    assert scores == ["validation", "test"]


def test_help_has_examples(command) -> None:
    code, output, _ = command("sweep", "--help")

    assert code == 0
    assert "paretune sweep quick" in " ".join(output.split())
