"""Sweeps that stop trials early or run out of budget, on a real local Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import yaml
from optuna.trial import TrialState

from bench.cluster.join import cluster
from bench.pretrained.shared_weights import Weights
from bench.pretrained.source import locate
from bench.records.study_record import Halving
from bench.space import Space, Uniform
from bench.storage.ledger import Ledger
from bench.study.arm import Arm
from bench.study.run_options import RunOptions
from bench.tune.driver import run_plan
from bench.tune.plan import Plan
from bench.tune.report import write_report
from bench.tune.rungs import Rungs
from bench.tune.worker import WorkerSetup
from strategies.bitfit import BitFit
from tests.bench.tune.test_plan import spec
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.trials import make_questions

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

pytestmark = pytest.mark.ray

# Learns nothing, so that all trials of an arm are equal: the first to come goes on, no other.
STILL = {"low": 1e-12, "high": 1e-11, "log": True}


def paretune(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command inside a folder, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return paretune("sweep", "tiny.yaml", "--out", "run", *arguments, folder=folder)


def statuses(folder: Path) -> Counter[str]:
    paths = (folder / "run" / "trials").glob("*.json")
    return Counter(json.loads(path.read_bytes())["status"] for path in paths)


def started(done: subprocess.CompletedProcess[str]) -> list[str]:
    return sorted(re.findall(r" (\S+) started", done.stdout))


def report(folder: Path) -> str:
    return (folder / "run" / "report" / "report.md").read_text(encoding="utf-8")


def write_study(folder: Path, **changes: object) -> Path:
    write_model(folder / "model")
    write_dataset(folder / "data")
    content = {
        "model": "model",
        "dataset": "data",
        "trials": 3,
        "epochs": 2,
        "max_length": 32,
        "precision": "fp32",
        "sampler": "random",
        "confirm": 0,
        "strategies": {"linear": {"learning_rate": STILL}, "bitfit": {"learning_rate": STILL}},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("halved"))
    done = sweep(folder, "--halving")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("pruned: validation") == 4
    return folder


def test_equal_trials_are_stopped_but_for_the_first_of_each_arm(halved: Path) -> None:
    assert statuses(halved) == {"completed": 2, "pruned": 4}
    text = report(halved)
    assert "4 of 6 trials were stopped early (linear 2, bitfit 2)." in text
    assert "stopped after 1 of 2 epochs: place 2 of 2 in its arm, the best goes on" in text
    assert "PARTIAL" not in text
    study = json.loads((halved / "run" / "study.json").read_bytes())
    assert study["halving"] == {"reduction_factor": 2, "grace_epochs": 1}


@pytest.mark.slow
def test_what_was_stopped_does_not_run_again_until_halving_is_off(halved: Path) -> None:
    same = sweep(halved, "--halving")
    assert same.returncode == 0, same.stdout + same.stderr
    assert "0 at a time" in same.stdout

    more = sweep(halved, "--halving", "--trials", "4")
    assert started(more) == ["bitfit-003", "linear-003"]
    assert statuses(halved) == {"completed": 2, "pruned": 6}
    assert "place 4 of 4 in its arm" in report(halved)

    whole = sweep(halved, "--no-halving", "--trials", "4")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert len(started(whole)) == 6
    assert statuses(halved) == {"completed": 8}
    assert "stopped early" not in report(halved)


@pytest.mark.slow
def test_a_spent_budget_ends_in_a_report_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = write_study(tmp_path, epochs=3)
    first = sweep(folder, "--trials", "1", "--workers", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "1 at a time" in first.stdout
    assert statuses(folder) == {"completed": 2}

    cut = sweep(folder, "--time-budget", "0.5s")
    assert cut.returncode == 0, cut.stdout + cut.stderr
    told = "PARTIAL: budget of 0.5s spent: 4 of 6 planned trials have not run (linear 2, bitfit 2"
    assert told in cut.stdout
    assert "stopped without a record" in cut.stdout
    assert told.removeprefix("PARTIAL: ") in report(folder)
    ledger, before = Ledger(folder / "run"), report(folder)
    write_report(ledger, ledger.run())
    assert report(folder) == before

    rest = sweep(folder)
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert started(rest) == ["bitfit-001", "bitfit-002", "linear-001", "linear-002"]
    assert statuses(folder) == {"completed": 6}
    assert "PARTIAL" not in report(folder)


@pytest.mark.slow
def test_gpu_hours_are_refused_where_trials_use_no_gpu(tmp_path: Path) -> None:
    folder = write_study(tmp_path)
    refused = sweep(folder, "--max-gpu-hours", "1.5", "--gpus-per-trial", "0")

    assert refused.returncode == 2
    assert "use --time-budget" in refused.stderr
    assert not (folder / "run").exists()


@dataclass(frozen=True, kw_only=True)
class Traced(BitFit):
    """Writes down the process in which a trial begins; can end one after the last epoch, once."""

    name: ClassVar[str] = "traced"

    folder: str = ""
    dies: bool = False

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        path = Path(self.folder) / "processes"
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        return super().adapt(backbone)

    def deploy(self, model: nn.Module) -> nn.Module:
        mark = Path(self.folder) / "died"
        if self.dies and not mark.exists():
            mark.touch()
            os._exit(1)
        return super().deploy(model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
@pytest.mark.parametrize("dies", [False, True])
def test_workers_go_on_after_stopped_trials_and_a_retried_one_is_counted_once(
    tmp_path: Path, dies: bool
) -> None:
    model = write_model(tmp_path / "model")
    space = Space(knobs={"learning_rate": Uniform(**STILL)})
    fixed = {"folder": str(tmp_path), "dies": dies}
    arm = Arm(name="traced", strategy=Traced, fixed=fixed, space=space)
    rule = Halving(reduction_factor=3, grace_epochs=1)
    plan = Plan(
        [arm], planned={"traced": 5}, sampler="tpe", seed=0, make_spec=spec, rungs=Rungs(rule, 3)
    )
    setup = WorkerSetup(
        weights=Weights.of(locate(str(model)).backbone()),
        train=make_questions(24, seed=1),
        validation=make_questions(40, seed=2),
        precision="fp32",
        threads=1,
        use_gpu=False,
        device_shared=False,
        folder=tmp_path / "run",
    )
    with cluster(RunOptions(workers=1)) as slots:
        ledger, usual = Ledger(tmp_path / "run"), RunOptions()
        found = run_plan(
            plan, (), lambda records: [], setup, slots, ledger, lambda event: None, usual
        )

    states = [trial.state for trial in plan.studies["traced"].trials]
    assert states == [TrialState.COMPLETE, *[TrialState.PRUNED] * 4]
    last = max(found.records, key=lambda record: record.number)
    assert "place 5 of 5 in its arm, the best goes on" in str(last.reason)
    (whole,) = [record for record in found.records if record.status == "completed"]
    assert whole.attempts == 1 + dies
    processes = (tmp_path / "processes").read_text(encoding="utf-8").split()
    assert len(processes) == 5 + dies
    assert len(set(processes)) == 1 + dies
