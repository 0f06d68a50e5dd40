"""``export``, ``predict`` and ``train`` on a run whose trials were really trained."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.export.manifest import MANIFEST
from bench.records.study_record import Run
from bench.records.trial_record import Status
from bench.storage.ledger import Ledger
from tests.helpers.asking import Command
from tests.helpers.exports import make_run
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.stores import BUCKET, s3_store
from tests.peers.noop import install

pytestmark = pytest.mark.filterwarnings(
    # PEFT asks the backbone for an attribute that transformers has renamed.
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning:transformers"
)

ROOT = Path(__file__).parents[3]
LETTERS = "ABCD"
FORMS = {
    "adapter": ["native"],
    "bitfit": ["native", "merged"],
    "full": ["native", "merged"],
    "linear": ["native", "merged"],
    "lora": ["native", "merged", "peft"],
    "prefix": ["native", "peft"],
    "prompt": ["native", "peft"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def run(made: Path) -> Run:
    return Ledger(made).run()


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The run folder, to be damaged."""
    return shutil.copytree(made, tmp_path / "copy")


def data(made: Path) -> Path:
    return made.parent / "data"


@pytest.mark.parametrize(
    ("arm", "form"), [(arm, form) for arm, forms in FORMS.items() for form in forms]
)
def test_every_form_answers_as_the_trial_has_answered(
    command: Command, made: Path, run: Run, arm: str, form: str
) -> None:
    record = next(r for r in run.confirmed if r.arm == arm)
    assert record.accuracy is not None
    code, out, err = command("export", made, record.trial, "--to", "x", "--format", form)
    assert (code, err) == (0, "")
    assert f"{record.trial} of data-model, {form}: x" in out

    questions = data(made) / "validation.jsonl"
    code, out, err = command("predict", "x", questions, "--out", "answers.jsonl")
    assert (code, err) == (0, "")
    assert f"accuracy {record.accuracy.validation:.3f} of 24 rows" in out
    lines = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    given = [LETTERS.index(line["prediction"]) for line in lines]
    assert tuple(given) == record.accuracy.predictions
    assert all(sum(line["probabilities"].values()) == pytest.approx(1) for line in lines)


def test_best_is_what_recommend_names(command: Command, made: Path) -> None:
    code, out, _ = command("recommend", made, "--json")
    assert code == 0
    best = json.loads(out)["configuration"]
    code, out, _ = command("export", made, "best", "--to", "x", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["trial"] == best
    assert told["largest_difference"] <= 1e-5
    assert told["notes"] == [f"Loading needs paretune with the strategy `{best[:-4]}`."]


def test_what_recommend_says_to_go_on_with_can_be_typed(command: Command, made: Path) -> None:
    found = json.loads(command("recommend", made, "--json")[1])
    for way, trained_on in (("export", ["train"]), ("train", ["train", "validation"])):
        paretune, *words = shlex.split(found[way])
        assert paretune == "paretune"
        code, _, err = command(*words)
        assert code == 0, err
        (folder,) = [path for path in Path().iterdir() if path.name == words[-1]]
        manifest = json.loads((folder / MANIFEST).read_text())
        assert manifest["trial"] == found["configuration"]
        assert manifest["trained_on"] == trained_on


def test_answers_are_printed_where_no_file_is_named(command: Command, made: Path) -> None:
    command("export", made, "linear-000", "--to", "x")
    row = json.loads((data(made) / "test.jsonl").read_text().splitlines()[0])
    del row["answerKey"]
    Path("rows.jsonl").write_text(json.dumps(row))
    code, out, err = command("predict", "x", "rows.jsonl")
    assert code == 0
    assert json.loads(out)["id"] == row["id"]
    assert "accuracy" not in err
    code, out, _ = command("predict", "x", "rows.jsonl", "--json")
    told = json.loads(out)
    assert (told["rows"], told["answered"], told["scores"]) == (1, 0, {})


def test_the_card_tells_what_a_reader_has_to_know(command: Command, made: Path, run: Run) -> None:
    command("export", made, "lora-000", "--to", "x", "--format", "peft")
    card = Path("x/README.md").read_text()
    study = run.study
    for told in (
        "# lora-000 of data-model",
        study.model_fingerprint,
        *(split.fingerprint for split in study.splits.values()),
        "| test accuracy | 0.",
        "1 fresh seeds |",
        "lora-000, a trial of the search",
        "| trained parameters | ",
        "| latency, median | ",
        "Licence of the base model: unknown. Licence of the data: unknown.",
        "for 1 of 2 epochs" if _best_epoch(run, "lora-000") == 1 else "for 2 of 2 epochs",
        "An interval of one seed speaks of other questions, not of other seeds.",
        "PeftModel.from_pretrained(backbone, folder)",
        "paretune export ",
        "paretune sweep ",
    ):
        assert told in card
    assert "is not that of the run any more" not in card


def _best_epoch(run: Run, trial: str) -> int:
    record = next(r for r in run.searched if r.trial == trial)
    assert record.accuracy is not None
    return record.accuracy.best_epoch


def test_code_that_is_not_the_runs_is_told(
    command: Command, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cli.models.chosen.code_fingerprint", lambda *_: "another")
    code, _, err = command("export", made, "lora-000", "--to", "x")
    assert code == 0
    assert "is not that of the run any more" in err
    assert "is not that of the run any more" in Path("x/README.md").read_text()


def test_training_anew_learns_from_both_splits_and_says_so(
    command: Command, made: Path, run: Run
) -> None:
    code, out, _ = command(
        "train", made, "lora-000", "--to", "x", "--format", "peft", "--seed", "5"
    )
    assert code == 0
    epochs = _best_epoch(run, "lora-000")
    assert f"on 72 questions of train and validation for {epochs} of 2 epochs" in out
    assert "with seed 5; no test question is learnt from" in out
    manifest = json.loads(Path("x/paretune.json").read_text())
    assert manifest["trained_on"] == ["train", "validation"]
    assert (manifest["seed"], manifest["epochs"]) == (5, epochs)
    card = Path("x/README.md").read_text()
    assert "These weights were trained anew on the 72 questions of train and validation" in card
    assert "| validation | data |" in card
    assert "not trained on" in next(x for x in card.splitlines() if x.startswith("| test | data"))
    assert command("predict", "x", data(made) / "test.jsonl", "--out", "a.csv")[0] == 0
    assert len(Path("a.csv").read_text().splitlines()) == 25


def test_training_anew_needs_no_checkpoint(command: Command, copy: Path) -> None:
    shutil.rmtree(copy / "checkpoints")
    code, _, err = command("export", copy, "linear-000", "--to", "x")
    assert code == 2
    assert "paretune fetch --checkpoints" in " ".join(err.split())
    assert command("train", copy, "linear-000", "--to", "x")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lora-001", "--to", "x"], "no trial 'lora-001' in this run; did you mean lora-000"),
        (["zzz", "--to", "x"], "no trial 'zzz' in this run; trials are adapter-000"),
        (["lora-000", "--to", "held"], "--to held: holds mine already; choose an empty or new"),
        (["lora-000", "--to", "file"], "--to file: is no folder"),
        (["lora-000", "--to", "s3://a/b"], "must be a folder of this machine"),
        (["lora-000", "--to", "x", "--format", "onnx"], "must be one of peft, merged, native"),
        (["lora-000", "--to", "x", "--model", "bundled"], "the base model was"),
        (["prompt-000", "--to", "x", "--format", "merged"], "what fits: peft, native"),
        (["adapter-000", "--to", "x", "--format", "peft"], "PEFT has no such method; what fits"),
        (["lora-000"], "Missing option '--to'"),
    ],
)
def test_bad_input_is_one_message_with_exit_code_2_and_nothing_written(
    command: Command, made: Path, words: list[str], told: str
) -> None:
    Path("held").mkdir()
    Path("held/mine").touch()
    Path("file").touch()
    before = sorted(Path().rglob("*"))
    code, _, err = command("export", made, *words)
    assert code == 2
    assert told in " ".join(err.split())
    assert sorted(Path().rglob("*")) == before


def test_all_that_is_wrong_is_told_at_once(command: Command, made: Path) -> None:
    Path("file").touch()
    code, _, err = command("export", made, "nothing", "--to", "file", "--format", "onnx")
    assert code == 2
    assert "3 problems" in err


@pytest.mark.parametrize("words", [["export", "nowhere", "best"], ["train", "nowhere", "best"]])
def test_a_folder_that_is_no_run_is_told(command: Command, words: list[str]) -> None:
    code, _, err = command(*words, "--to", "x")
    assert code == 2
    assert "no study.json here" in err


def test_a_trial_without_a_result_says_what_to_do(command: Command, copy: Path) -> None:
    ledger = Ledger(copy)
    for record in ledger.run().searched:
        if record.arm == "lora":
            ends = {"status": Status.FAILED, "reason": "boom", "accuracy": None}
            ledger.write(record.model_copy(update=ends))
        if record.arm == "full":
            ledger.write(record.model_copy(update={"status": Status.OUT_OF_MEMORY, "reason": "x"}))
    for name, verb, told in (
        ("lora-000", "export", "ended as failed (boom) and has no checkpoint; choose another"),
        ("full-000", "export", "train it: paretune train"),
        ("lora-000", "train", "so nobody knows for how long to train it"),
    ):
        code, _, err = command(verb, copy, name, "--to", "x")
        assert code == 2
        assert told in " ".join(err.split())


def test_a_damaged_checkpoint_is_told(command: Command, copy: Path, run: Run) -> None:
    record = next(r for r in run.searched if r.arm == "lora")
    Path(str(Ledger(copy).checkpoint(record.fingerprint))).write_bytes(b"damaged")
    code, _, err = command("export", copy, "lora-000", "--to", "x")
    assert code == 2
    assert "cannot be read" in err
    assert not Path("x").exists()


def test_what_is_no_export_and_bad_rows_are_told_together(command: Command, made: Path) -> None:
    Path("rows.jsonl").write_text("{}\n[]\n")
    code, _, err = command("predict", "nowhere", "rows.jsonl", "--out", "answers.txt")
    assert code == 2
    for told in ("no paretune.json here", "must end in .csv"):
        assert told in " ".join(err.split())
    command("export", made, "linear-000", "--to", "x")
    code, _, err = command("predict", "x", "rows.jsonl", "--out", "answers.txt")
    assert code == 2
    for told in ("must end in .csv", "rows.jsonl:1: question", "rows.jsonl:2: row"):
        assert told in " ".join(err.split())


def test_predictions_never_take_the_place_of_the_questions(command: Command, made: Path) -> None:
    command("export", made, "linear-000", "--to", "x")
    rows = Path(shutil.copy(data(made) / "test.jsonl", "rows.jsonl"))
    before = rows.read_bytes()
    code, _, err = command("predict", "x", "rows.jsonl", "--out", "rows.jsonl")
    assert code == 2
    assert "is the file that is read" in err
    assert rows.read_bytes() == before


def test_a_base_model_that_has_moved_can_be_named(command: Command, made: Path) -> None:
    moved = shutil.copytree(made.parent / "model", "moved")
    command("export", made, "linear-000", "--to", "x", "--model", moved)
    shutil.rmtree(moved)
    row = data(made) / "test.jsonl"
    code, _, err = command("predict", "x", row)
    assert code == 2
    assert "name where it lies with --model" in " ".join(err.split())
    assert command("predict", "x", row, "--model", made.parent / "model")[0] == 0


def test_an_export_of_a_strategy_that_is_gone_says_so(command: Command, made: Path) -> None:
    command("export", made, "linear-000", "--to", "x")
    path = Path("x/paretune.json")
    path.write_text(path.read_text().replace('"strategy": "linear"', '"strategy": "gone"'))
    code, _, err = command("predict", "x", data(made) / "test.jsonl")
    assert code == 2
    assert "strategy gone is not installed here" in " ".join(err.split())


def test_a_run_in_a_store_is_exported_from_there(
    command: Command, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_store() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        store.files.put(str(made), f"{BUCKET}/run", recursive=True)
        code, out, err = command("export", f"s3://{BUCKET}/run", "lora-000", "--to", "x")
    assert (code, err) == (0, "")
    assert "lora-000 of data-model, native: x" in out


@pytest.mark.ray
@pytest.mark.slow
def test_a_plug_in_is_swept_exported_and_answers_where_it_is_installed(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    write_dataset(tmp_path / "data")
    path = os.pathsep.join([str(install(tmp_path)), str(ROOT)])

    def paretune(*words: str, path: str = path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bench", *words],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
        )

    swept = paretune(
        *("sweep", "--model", "model", "--dataset", "data", "--strategies", "noop,lora"),
        *("--trials", "1", "--epochs", "1", "--confirm", "1", "--precision", "fp32"),
        *("--out", "run"),
    )
    assert swept.returncode == 0, swept.stdout + swept.stderr
    for words in (
        ("export", "run", "noop-000", "--to", "noop"),
        ("predict", "noop", "data/test.jsonl", "--out", "noop.csv"),
        ("export", "run", "lora-000-seed1001", "--to", "lora", "--format", "peft"),
        ("predict", "lora", "data/test.jsonl", "--out", "lora.csv"),
    ):
        done = paretune(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
    gone = paretune("predict", "noop", "data/test.jsonl", path=str(ROOT))
    assert gone.returncode == 2
    assert "strategy noop is not installed here" in " ".join(gone.stderr.split())


@pytest.mark.parametrize("name", ["export", "predict", "train"])
def test_help_has_examples(command: Command, name: str) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"paretune {name} " in " ".join(out.split())
