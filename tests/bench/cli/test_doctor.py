from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.asking import Command
from tests.helpers.folders import write_dataset, write_model


def test_without_an_address_this_machine_alone_is_looked_at(
    command: Command, tmp_path: Path
) -> None:
    model, data = write_model(tmp_path / "model"), write_dataset(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    code, output, _ = command("doctor", "--model", model, "--dataset", data)

    assert code == 0
    assert "ok       study: model model (" in output
    assert "ok       versions: this machine: Python 3." in output
    assert f"ok       results: this machine: {tmp_path} can be written" in output
    assert "nodes:" not in output
    assert output.rstrip().endswith("ready")
    assert sorted(tmp_path.rglob("*")) == before


def test_every_fault_of_the_study_is_a_line_and_the_machine_is_looked_at_all_the_same(
    command: Command, tmp_path: Path
) -> None:
    code, output, error = command(
        "doctor", "quik", "--model", "no model", "--dataset", "nowhere", "--json"
    )

    found = json.loads(output)
    refused = [one["found"] for one in found["findings"] if one["level"] == "refused"]
    assert code == 2
    assert not found["ready"]
    assert len(refused) == 3
    assert "presets are quick, reference, thorough" in refused[0]
    assert {one["check"] for one in found["findings"]} == {
        "study", "versions", "machines", "results",
    }  # fmt: skip
    assert found["nodes"][0]["facts"]["python"].startswith("3.")
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, output, _ = command("doctor", "--out", tmp_path / "file")

    assert code == 2
    assert "refused" in output
    assert "is a file, a folder is needed" in output


def test_an_address_that_does_not_answer_is_a_line_with_the_rest(command: Command) -> None:
    code, output, _ = command("doctor", "--address", "ray://head:10001")

    assert code == 2
    assert "refused  cluster: --address ray://head:10001: " in output
    assert "a sweep would be refused: 1 refused" in output


def test_what_will_be_skipped_is_a_warning_and_a_compiler_is_looked_for_if_needed(
    command: Command, tmp_path: Path
) -> None:
    model, data = write_model(tmp_path / "model"), write_dataset(tmp_path / "data")
    study = tmp_path / "study.yaml"
    study.write_text(
        "strategies: [lora, 'peft:prefix_tuning']\ngradient_checkpointing: true\ncompile: true\n",
        encoding="utf-8",
    )
    code, output, _ = command("doctor", study, "--model", model, "--dataset", data)

    (warning,) = [line for line in output.splitlines() if line.startswith("warning")]
    assert warning.startswith("warning  study: peft:prefix_tuning will be skipped: ")
    assert warning.endswith("; leave --gradient-checkpointing out")
    assert f"{'refused' if code else 'ok':<8} compilers: this machine: " in output
