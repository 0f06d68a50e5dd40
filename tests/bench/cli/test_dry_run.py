"""Dry runs: a few steps on a real local Ray, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.tune.test_early_ends import STILL, paretune, write_study

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = {"length": {"low": 100, "high": 120}, "learning_rate": STILL}
    return write_study(
        tmp_path_factory.mktemp("dry"),
        strategies={"linear": {}, "bitfit": {"learning_rate": STILL}, "prefix": prefix},
        epochs=3,
    )


def dry_run(folder: Path, *arguments: str) -> str:
    done = paretune("sweep", "tiny.yaml", "--out", "run", "--dry-run", *arguments, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "run").exists()
    return done.stdout


def test_a_dry_run_tells_trials_times_seconds_and_where_trials_may_be_stopped(folder: Path) -> None:
    text = dry_run(
        folder, "--halving", "--set", "prefix.length=8", "--workers", "1", "--confirm", "4"
    )
    words = " ".join(text.split())
    assert "tiny: planned, nothing run" in words
    assert "length: 8" in words
    assert "head only" in words
    assert "9 trials" in words
    assert "1 at a time" in words
    assert "then 4 fresh seeds of each arm's chosen configuration" in words
    assert "12 trials or more" in words
    assert "halving: one trial in 2 goes on from a rung, rungs after epoch 1, 2 of 3;" in words


@pytest.mark.slow
def test_a_dry_run_as_a_document_holds_the_same_figures(folder: Path) -> None:
    document = json.loads(dry_run(folder, "--json", "--trials", "2"))
    assert document["planned"] == document["left"] == {"linear": 2, "bitfit": 2, "prefix": 2}
    assert document["step_seconds"]["linear"] == 0.0
    assert 0 < document["step_seconds"]["bitfit"] < document["trial_seconds"]["bitfit"]
    assert document["device_seconds"] > 0
    assert document["confirmations"] == 0
    assert document["trials_at_a_time"] >= 1
