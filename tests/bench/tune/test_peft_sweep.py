"""A sweep with methods of PEFT beside our own, through the installed command on a real Ray."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.folders import write_dataset, write_model

pytestmark = pytest.mark.ray

Done = subprocess.CompletedProcess[str]


def paretune(*arguments: str, folder: Path) -> Done:
    """Runs a command inside a folder, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    folder = tmp_path_factory.mktemp("swept")
    write_model(folder / "model")
    write_dataset(folder / "data")
    content = {
        "model": "model",
        "dataset": "data",
        "trials": 2,
        "epochs": 1,
        "max_length": 32,
        "precision": "fp32",
        "confirm": 0,
        "strategies": {
            "lora": {"rank": 4},
            "peft:ia3": None,
            "mine": {"strategy": "peft:lora", "r": {"low": 2, "high": 4}},
            "peft:fourierft": {"n_frequency": 5000},
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    done = paretune(
        "sweep", "study.yaml", "--out", "run", "--track", "tensorboard", folder=folder
    )  # fmt: skip
    return folder, done


def test_methods_of_both_complete_and_one_that_does_not_fit_is_skipped_with_pefts_reason(
    swept: tuple[Path, Done],
) -> None:
    folder, done = swept
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in (folder / "run" / "trials").glob("*.json")]
    ends = {(record["arm"], record["strategy"], record["status"]) for record in records}
    assert ends == {
        ("lora", "lora", "completed"),
        ("peft:ia3", "peft:ia3", "completed"),
        ("mine", "peft:lora", "completed"),
        ("peft:fourierft", "peft:fourierft", "skipped"),
    }
    (reason,) = {r["reason"] for r in records if r["status"] == "skipped"}
    assert reason.startswith("PEFT says: `n_frequency` should be less than or equal to")
    mine = [record["knobs"] for record in records if record["arm"] == "mine"]
    assert all(knobs["lora_alpha"] == 2 * knobs["r"] for knobs in mine)
    assert "Warning" not in done.stderr


def test_file_names_have_no_colon(swept: tuple[Path, Done]) -> None:
    folder, _ = swept
    files = [path.relative_to(folder).as_posix() for path in (folder / "run").rglob("*")]
    assert "run/tensorboard/peft-ia3-000" in files
    assert [name for name in files if ":" in name] == []


@pytest.mark.slow
def test_the_recommended_command_trains_the_same_configuration(swept: tuple[Path, Done]) -> None:
    folder, _ = swept
    asked = paretune(
        "recommend", "run", "--json", "--max-parameters", "330", folder=folder
    )  # fmt: skip
    found = json.loads(asked.stdout)
    assert found["configuration"].startswith("peft:ia3-")
    words = shlex.split(found["command"])
    again = paretune(*words[1:], "--out", "again", folder=folder)
    assert again.returncode == 0, again.stdout + again.stderr
    (path,) = (folder / "again" / "trials").glob("*.json")
    record = json.loads(path.read_text())
    assert record["strategy"] == "peft:ia3"
    assert record["parameters"]["trained"] == found["trained_parameters"]
