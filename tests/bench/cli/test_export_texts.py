"""From a table of texts and labels to answers: exported, predicted with, and trained anew."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from bench.records.study_record import Run
from bench.storage.ledger import Ledger
from tests.helpers.asking import Command
from tests.helpers.exports import make_run
from tests.helpers.folders import WORDS

LABELS = ("bad", "good")


def write_table(path: Path, count: int, seed: int = 0) -> Path:
    """Texts whose label stands in their words: the first fifty are bad ones."""
    generator = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["body", "mood"])
        for _ in range(count):
            label = generator.choice(LABELS)
            words = WORDS[:50] if label == "bad" else WORDS[50:]
            table.writerow([" ".join(generator.sample(words, 5)), label])
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    table = write_table(folder / "mine.csv", 200)
    options = ["--text-column", "body", "--label-column", "mood", "--objective", "macro_f1"]
    return make_run(folder, *options, "--strategies", "lora,full,linear", data=table)


@pytest.fixture(scope="module")
def run(made: Path) -> Run:
    return Ledger(made).run()


@pytest.mark.parametrize(
    ("arm", "form"),
    [("lora", "peft"), ("lora", "merged"), ("full", "native"), ("linear", "merged")],
)
def test_every_form_answers_texts_as_the_trial_has_answered(
    command: Command, made: Path, run: Run, arm: str, form: str
) -> None:
    record = next(r for r in run.confirmed if r.arm == arm)
    code, out, err = command("export", made, record.trial, "--to", "x", "--format", form)
    assert (code, err) == (0, "")
    card = Path("x/README.md").read_text()
    for told in ("Labels texts: every label gets a score", "| test macro-F1 | ", "made-up texts"):
        assert told in card
    code, out, err = command("predict", "x", made.parent / "mine.csv", "--out", "a.csv")
    assert (code, err) == (0, "")
    for told in ("200 answers are in a.csv", "accuracy 0.", "macro-F1 0.", "Matthews correlation "):
        assert told in out
    with Path("a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"id", "prediction", "probability_bad", "probability_good"}
    assert {row["prediction"] for row in rows} <= set(LABELS)


def test_rows_without_a_label_are_answered_in_their_order(command: Command, made: Path) -> None:
    assert command("export", made, "best", "--to", "x")[0] == 0
    Path("new.csv").write_text(f"body\n{WORDS[3]} {WORDS[9]}\n{WORDS[60]} {WORDS[70]}\n")
    code, out, err = command("predict", "x", "new.csv")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["id"] for line in lines] == ["new-2", "new-3"]
    assert "accuracy" not in err
    Path("other.jsonl").write_text(json.dumps({"review": WORDS[3]}))
    code, _, err = command("predict", "x", "other.jsonl")
    assert code == 2
    told = "--text-column body: no such column; the data have review"
    assert told in " ".join(err.split())
    assert command("predict", "x", "other.jsonl", "--text-column", "review")[0] == 0


def test_training_anew_takes_the_columns_and_labels_of_the_data(
    command: Command, made: Path, run: Run
) -> None:
    more = write_table(Path("more.csv").absolute(), 260, seed=1)
    code, out, err = command("train", made, "lora-000", "--to", "x", "--dataset", more)
    assert code == 0
    assert "texts of train and validation for" in out
    assert "no test text is learnt from" in out
    assert "The data is not that of the run any more" in " ".join(err.split())
    manifest = json.loads(Path("x/paretune.json").read_text())
    assert manifest["task_settings"] == {"labels": ["bad", "good"], "pairs": False}
    assert manifest["columns"] == {"text": "body", "label": "mood"}
    code, out, _ = command("predict", "x", more, "--out", "a.jsonl")
    assert code == 0
    assert "of 260 rows whose answer was given" in out


def test_an_export_of_a_task_that_is_gone_says_so(command: Command, made: Path) -> None:
    command("export", made, "linear-000", "--to", "x")
    path = Path("x/paretune.json")
    path.write_text(path.read_text().replace("sequence_classification", "gone"))
    code, _, err = command("predict", "x", made.parent / "mine.csv")
    assert code == 2
    assert "task 'gone': no such task; installed are" in " ".join(err.split())
