"""A study of labelled texts from the one CSV file a person has, on a real local Ray."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.metrics import f1_score, matthews_corrcoef

from bench.cli.recipe import command_for, inputs_of, program_for
from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord, unpacked
from bench.storage.ledger import Ledger
from tests.helpers.folders import WORDS, write_model

pytestmark = pytest.mark.ray

LABELS = {"good": WORDS[:8], "bad": WORDS[8:16], "rare": WORDS[16:24]}
COMMAND = (
    "sweep", "--model", "model", "--dataset", "reviews.csv", "--text-column", "body",
    "--label-column", "mood", "--objective", "macro_f1", "--strategies", "linear,lora",
    "--trials", "2", "--epochs", "2", "--confirm", "2", "--max-length", "24",
    "--precision", "fp32", "--out", "run", "--json",
)  # fmt: skip


def paretune(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True, text=True, timeout=400, check=False, cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classification")
    write_model(folder / "model")
    generator = random.Random(0)
    with (folder / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["body", "mood"])
        for number in range(240):
            label = generator.choice(["good", "good", "bad", "bad", "rare"])
            told = generator.sample(WORDS[24:], 4) + generator.sample(LABELS[label], 2)
            generator.shuffle(told)
            writer.writerow([f"{' '.join(told)}, {number}", label])
    done = paretune(*COMMAND, folder=folder)
    assert done.returncode == 0, done.stderr
    assert {trial["status"] for trial in json.loads(done.stdout)["trials"]} == {"completed"}
    return folder


@pytest.fixture(scope="module")
def run(swept: Path) -> Run:
    return Ledger(swept / "run").run()


def test_the_record_says_what_was_learnt_and_by_what(run: Run) -> None:
    study = run.study
    assert (study.task, study.objective) == ("sequence_classification", "macro_f1")
    assert (study.words.example, study.words.examples) == ("text", "texts")
    assert study.task_settings == {"labels": ["bad", "good", "rare"], "pairs": False}
    assert [baseline.name for baseline in study.baselines] == ["random", "majority"]
    assert {"accuracy", "macro_f1", "matthews"} <= study.baselines[1].scores.keys()
    assert sum(split.questions for split in study.splits.values()) == 240


def finished(run: Run) -> list[TrialRecord]:
    return [*run.searched, *run.confirmed]


def test_the_figures_are_those_of_the_stored_predictions(run: Run) -> None:
    for record in finished(run):
        assert record.accuracy is not None
        assert record.scores is not None
        given, right = record.accuracy.predictions, run.study.answers
        found = record.scores.validation
        assert found["macro_f1"] == pytest.approx(f1_score(right, given, average="macro"))
        assert found["matthews"] == pytest.approx(matthews_corrcoef(right, given))
        confidences = unpacked(record.scores.confidences)
        assert len(confidences) == len(right)
        assert min(confidences) >= 1 / 3 - 1e-4
        best = max(record.scores.per_epoch)
        assert record.scores.per_epoch[record.accuracy.best_epoch - 1] == record.score == best
    tested = [record.test for record in run.confirmed if record.test]
    assert len(tested) == len(run.confirmed) >= 4
    for test in tested:
        f1 = f1_score(test.answers, test.predictions, average="macro")
        assert test.scores["macro_f1"] == pytest.approx(f1)


def test_a_head_has_a_row_per_label(run: Run) -> None:
    heads = {record.parameters.head for record in run.searched if record.parameters}
    assert heads == {3 * (32 + 1)}


@pytest.mark.slow
def test_the_same_command_runs_nothing_again(swept: Path) -> None:
    before = {path.name: path.read_bytes() for path in (swept / "run/trials").iterdir()}
    again = paretune(*COMMAND, folder=swept)
    assert again.returncode == 0, again.stderr
    assert {path.name: path.read_bytes() for path in (swept / "run/trials").iterdir()} == before


def test_the_report_speaks_of_texts_and_says_what_was_searched(swept: Path) -> None:
    text = (swept / "run/report/report.md").read_text(encoding="utf-8")
    page = (swept / "run/report/report.html").read_text(encoding="utf-8")
    assert "question" not in text.replace("questions_per_second", "")
    assert "validation texts alone" in text
    assert "The search went by macro-F1" in text
    assert "<dt>test texts</dt>" in page
    shown = paretune("leaderboard", "run", folder=swept).stdout
    assert "macro_f1" in shown
    assert "by test macro-F1" in shown


def test_its_recipe_asks_for_the_same_and_trains_the_same(
    swept: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(swept)
    record = run.searched[0]
    inputs = inputs_of(run.study)
    command = command_for(run.study, record, inputs)
    assert "--text-column body --label-column mood --objective macro_f1" in command
    program = program_for(run.study, record, inputs)
    assert program is not None
    names: dict[str, object] = {}
    torch.set_num_threads(1)
    exec(compile(program, "program.py", "exec"), names)
    assert names["progress"].record.score == pytest.approx(record.score, abs=0.1)  # type: ignore[attr-defined]


def test_a_study_of_questions_refuses_what_only_labels_have(swept: Path) -> None:
    asked = ("sweep", "--model", "model", "--objective", "matthews", "--dry-run", "--out", "none")
    done = paretune(*asked, "--max-length", "24", folder=swept)
    assert done.returncode == 2
    assert "task multiple_choice is judged by accuracy, calibration_error" in done.stderr
