"""Whole sweeps through the installed command, on a real local Ray."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.helpers.folders import write_dataset, write_model

pytestmark = pytest.mark.ray

PARETUNE = [sys.executable, "-m", "bench"]
DEMANDED = [
    "trial",
    "fingerprint",
    "strategy",
    "status",
    "reason",
    "seed",
    "learning_rate",
    "accuracy_before",
    "validation_accuracy",
    "test_accuracy",
    "trained_parameters",
    "head_parameters",
    "total_parameters",
    "trained_tensors",
    "stored_bytes",
    "train_seconds",
    "inference_seconds",
    "inference_ms_p50",
    "inference_ms_p95",
    "peak_bytes",
    "best_epoch",
    "epochs",
    "device",
    "precision",
]


def paretune(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command inside a folder, as a person does."""
    return subprocess.run(
        [*PARETUNE, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "trials").glob("*.json")}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three arms, one of which cannot come to a good end."""
    folder = tmp_path_factory.mktemp("sweep")
    write_model(folder / "model")
    write_dataset(folder / "data")
    content = {
        "model": "model",
        "dataset": "data",
        "trials": 2,
        "epochs": 2,
        "max_length": 32,
        "precision": "fp32",
        "confirm": 0,
        "strategies": {
            "lora": {"rank": {"low": 1, "high": 4}},
            "prompt": {"length": 3},
            "hopeless": {"strategy": "full", "learning_rate": 1e30},
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def first(study: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = study.parent / "run"
    return folder, paretune("sweep", "tiny.yaml", "--out", "run", folder=study.parent)


Run = tuple[Path, subprocess.CompletedProcess[str]]


def test_a_sweep_completes_what_can_be_and_lists_what_cannot(first: Run) -> None:
    folder, done = first
    assert done.returncode == 1, done.stdout + done.stderr
    assert "hopeless-000 diverged: the loss became" in done.stdout
    assert "report: run/report/report.html" in done.stdout

    records = [json.loads(content) for content in contents(folder).values()]
    assert sorted((r["arm"], r["number"], r["status"]) for r in records) == [
        ("hopeless", 0, "diverged"),
        ("lora", 0, "completed"),
        ("lora", 1, "completed"),
        ("prompt", 0, "completed"),
        ("prompt", 1, "completed"),
    ]
    assert sum(r["test"] is not None for r in records) == 2
    assert len(list((folder / "checkpoints").iterdir())) == 4


def test_the_report_has_every_file_and_every_column(first: Run) -> None:
    report = first[0] / "report"

    figures = {path.stem for path in report.glob("*.png")}
    assert {"pareto", "seeds", "pairwise", "learning", "timing", "hypervolume"} <= figures
    assert sorted(path.name for path in report.iterdir() if path.stem not in figures) == [
        "leaderboard.csv", "leaderboard.tex", "metrics.csv", "report.html", "report.md",
        "search.csv", "search_pareto.csv", "trials.csv",
    ]  # fmt: skip
    assert all((report / f"{name}.svg").exists() for name in figures)
    assert (report / "pairwise.csv").exists()
    assert (report / "pareto.csv").exists()
    trials = pd.read_csv(report / "trials.csv")
    assert [name for name in DEMANDED if name not in trials.columns] == []
    assert {"rank", "length"} <= set(trials.columns)
    completed = trials[trials.status == "completed"]
    measured = completed[["trained_parameters", "train_seconds", "inference_ms_p50"]]
    assert measured.notna().to_numpy().all()


def test_the_same_command_again_changes_no_record_and_starts_no_worker(
    study: Path, first: Run
) -> None:
    before = contents(first[0])
    again = paretune("sweep", "tiny.yaml", "--out", "run", folder=study.parent)

    assert again.returncode == 1
    assert "0 at a time" in again.stdout
    assert " started" not in again.stdout
    assert contents(first[0]) == before


def test_one_more_trial_runs_only_the_new_ones(study: Path, first: Run) -> None:
    before = contents(first[0])
    more = paretune(
        "sweep", "tiny.yaml", "--out", "run", "--trials", "3", "--json", folder=study.parent
    )

    document = json.loads(more.stdout)
    assert sorted(t["arm"] for t in document["trials"] if t["number"] == 2) == ["lora", "prompt"]
    started = re.findall(r" (\S+) started", more.stderr)
    assert sorted(started) == ["lora-002", "prompt-002"]
    assert set(contents(first[0])) >= set(before)
    assert len(contents(first[0])) == len(before) + 2


@pytest.mark.slow
def test_changed_settings_are_kept_apart_and_told(study: Path, first: Run) -> None:
    before = contents(first[0])
    other = paretune(
        "sweep", "tiny.yaml", "--out", "run", "--strategies", "prompt", "--trials", "1",
        "--epochs", "1", folder=study.parent,
    )  # fmt: skip

    assert other.returncode == 0, other.stdout + other.stderr
    assert f"{len(before)} records of other settings, data or code" in other.stdout
    assert {name: contents(first[0])[name] for name in before} == before
