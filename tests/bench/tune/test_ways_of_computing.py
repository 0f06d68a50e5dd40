"""Sweeps that compute in another way, compiled or with blocks computed again, on a real Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bench.training.speed.toolchain import cannot_compile
from tests.helpers.folders import write_dataset, write_model

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:`torch.jit.*` is deprecated:DeprecationWarning"  # torch's compiler on import
    ),
]


@dataclass(frozen=True)
class Swept:
    """What a sweep has left."""

    done: subprocess.CompletedProcess[str]
    run: Path

    @property
    def study(self) -> Any:
        return json.loads((self.run / "study.json").read_bytes())

    @property
    def records(self) -> dict[str, Any]:
        """Record by arm."""
        found = [json.loads(path.read_bytes()) for path in (self.run / "trials").glob("*.json")]
        return {record["arm"]: record for record in found}

    def trained(self, arm: str) -> dict[str, torch.Tensor]:
        fingerprint = self.records[arm]["fingerprint"]
        return load_file(self.run / "checkpoints" / f"{fingerprint}.safetensors")

    @property
    def report(self) -> str:
        return (self.run / "report" / "report.html").read_text(encoding="utf-8")


def sweep(folder: Path, name: str, *options: str, strategies: str = "lora,linear") -> Swept:
    usual = ["--model", "model", "--dataset", "data", "--trials", "1", "--epochs", "2"]
    usual += ["--max-length", "32", "--precision", "fp32", "--confirm", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "sweep", "--strategies", strategies, *usual,
         "--out", name, *options],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Swept(done, folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("ways")
    write_model(found / "model")
    write_dataset(found / "data")
    return found


@pytest.fixture(scope="module")
def plain(folder: Path) -> Swept:
    return sweep(folder, "plain")


@pytest.fixture(scope="module")
def checkpointed(folder: Path) -> Swept:
    options = ("--gradient-checkpointing",)
    return sweep(folder, "checkpointed", *options, strategies="lora,linear,peft:prefix_tuning")


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Swept:
    if reason := cannot_compile():
        pytest.skip(reason)
    return sweep(folder, "compiled", "--compile")


@pytest.mark.parametrize("arm", ["lora", "linear"])
def test_blocks_that_are_computed_again_leave_every_number_as_it_is(
    plain: Swept, checkpointed: Swept, arm: str
) -> None:
    one, other = plain.records[arm], checkpointed.records[arm]
    assert one["fingerprint"] != other["fingerprint"]
    assert (one["status"], other["status"]) == ("completed", "completed")
    assert one["accuracy"] == other["accuracy"], "each epoch's, and the predictions"
    learned, again = plain.trained(arm), checkpointed.trained(arm)
    assert learned.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in learned.items())


def test_the_record_of_a_study_says_that_blocks_were_computed_again(
    plain: Swept, checkpointed: Swept
) -> None:
    assert checkpointed.study["settings"]["gradient_checkpointing"] is True
    assert plain.study["settings"]["gradient_checkpointing"] is False
    assert "lora-000" in checkpointed.report


def test_an_arm_that_cannot_be_computed_again_is_named_first_and_skipped_with_its_reason(
    checkpointed: Swept,
) -> None:
    record = checkpointed.records["peft:prefix_tuning"]
    assert record["status"] == "skipped"
    assert "leave --gradient-checkpointing out" in record["reason"]
    assert f"peft:prefix_tuning will be skipped: {record['reason']}" in checkpointed.done.stderr


@pytest.mark.parametrize("arm", ["lora", "linear"])
def test_a_compiled_trial_says_what_compiling_took_and_starts_as_the_other_does(
    plain: Swept, compiled: Swept, arm: str
) -> None:
    record = compiled.records[arm]
    assert record["status"] == "completed", record["reason"]
    assert record["environment"]["compiled"] is True
    assert record["seconds"]["compile"] > 0
    assert plain.records[arm]["seconds"]["compile"] == 0
    assert record["accuracy"]["before"] == plain.records[arm]["accuracy"]["before"]
    assert compiled.trained(arm).keys() == plain.trained(arm).keys()


def test_where_nothing_is_dropped_in_the_backbone_compiled_trials_learn_the_same(
    plain: Swept, compiled: Swept
) -> None:
    learned, same = plain.trained("linear"), compiled.trained("linear")
    assert compiled.records["linear"]["fingerprint"] != plain.records["linear"]["fingerprint"]
    # All choices share the bias: its slope is what rounding leaves, and Adam makes steps of that.
    assert set(learned) == {"head.weight", "head.bias"}
    torch.testing.assert_close(same["head.weight"], learned["head.weight"], atol=1e-5, rtol=1e-4)


def test_study_and_report_say_that_backbones_were_compiled(compiled: Swept) -> None:
    assert compiled.study["settings"]["compile"] is True
    assert "torch.compile has compiled" in compiled.report
