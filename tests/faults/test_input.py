"""Whatever a person gets wrong: one clear error that lists it, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli.entry import main
from bench.storage.ledger import Ledger
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.records import study, trial

QUICK, WHOLE = 40, 1000


@dataclass
class Told:
    """What a command has said."""

    code: int
    text: str


@dataclass
class Desk:
    """A folder with a model and sound data, and a command line in this process."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def paretune(self, *arguments: str) -> Told:
        self.capture.readouterr()
        sys.argv = ["paretune", *arguments]
        try:
            main()
        except SystemExit as ended:
            said = self.capture.readouterr()
            return Told(int(ended.code or 0), said.out + said.err)
        raise AssertionError("the command did not end")

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def refuses(self, *arguments: str) -> str:
        """Runs a command that must be refused, and checks what every refusal promises."""
        before = self.files()
        told = self.paretune(*arguments)
        assert told.code == 2, told.text
        assert told.text.strip()
        assert "Traceback" not in told.text
        assert self.files() == before
        return told.text


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("input")
    write_model(folder / "model")
    write_dataset(folder / "data", train=12, validation=6, test=6)
    ledger = Ledger(folder / "finished")
    ledger.write_study(study())
    for number in range(3):
        ledger.write(trial("lora", number))
    return folder


@pytest.fixture
def desk(
    sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    monkeypatch.chdir(sound)
    monkeypatch.setattr(sys, "argv", ["paretune"])
    return Desk(sound, capsys)


FOUND_FAULTS = {
    "train.jsonl:2: row: is no complete JSON": lambda row: '{"id": "cut',
    "train.jsonl:3: choices: 2 to 8 are allowed, got 1": lambda row: {
        **row, "choices": {"text": ["one"], "label": ["A"]}, "answerKey": "A"
    },
    "train.jsonl:4: answerKey: must be one of A, B, C, D, got \"Z\"": lambda row: {
        **row, "answerKey": "Z"
    },
    "train.jsonl:5: id: \"train-0\" stands on line 1 too": lambda row: {**row, "id": "train-0"},
    "train.jsonl:6: question_stem: must be a non-empty text": lambda row: {
        **row, "question_stem": "  "
    },
    "train.jsonl:7: row: ": lambda row: {**row, "question_stem": "w" * (1 << 20)},
}  # fmt: skip


def test_f14_faults_of_data_study_and_options_are_told_in_one_error(desk: Desk) -> None:
    data = write_dataset(desk.folder / "faulty")
    lines = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    for number, change in enumerate(FOUND_FAULTS.values(), start=1):
        changed: Any = change(json.loads(lines[number]))  # type: ignore[no-untyped-call]
        lines[number] = changed if isinstance(changed, str) else json.dumps(changed)
    content = "\ufeff" + "\r\n".join(lines)  # a byte-order mark and CRLF are no faults
    (data / "train.jsonl").write_bytes(content.encode())
    (desk.folder / "faulty.yaml").write_text(
        "dataset: faulty\nmodel: model\ntrails: 3\nepochs: 0\nstrategies:\n  lora:\n    rank: -1\n"
        "  nonsense: {}\n",
        encoding="utf-8",
    )
    text = desk.refuses("sweep", "faulty.yaml", "--trial-timeout", "soon", "--max-gpu-hours", "0")
    for fault in FOUND_FAULTS:
        assert fault in text
    for fault in (
        "faulty.yaml:3: trails = 3: no such key; keys are ",
        "faulty.yaml:4: epochs = 0: ",
        "faulty.yaml:6: lora: rank >= 1 must hold, got -1",
        "faulty.yaml:8: nonsense: unknown strategy 'nonsense'; installed are ",
        "--trial-timeout soon: must be a time above 0",
        "--max-gpu-hours 0: must be a number above 0",
    ):
        assert fault in text


def test_a_fault_of_an_option_is_not_laid_to_the_file(desk: Desk) -> None:
    (desk.folder / "fine.yaml").write_text("model: model\ndataset: data\nepochs: 3\n")
    text = desk.refuses("sweep", "fine.yaml", "--epochs", "0")
    assert "epochs = 0: " in text
    assert "fine.yaml" not in text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("epochs: 1\nepochs: 2\n", "bad.yaml:2: epochs: stands twice"),
        ("strategies:\n  lora: {rank: 1, rank: 2}\n", "bad.yaml:2: strategies.lora.rank: stands"),
        ("epochs: [1\nname: x\n", "bad.yaml:2: is no YAML"),
        ("- 1\n", "bad.yaml: must be a mapping"),
        ("a: &a [*a]\n", "a = "),
        (f"{'[' * 3000}{']' * 3000}\n", "nested too deep"),
        ("name: ../../etc\n", "bad.yaml:1: name = '../../etc': "),
        ("name: .hidden\n", "bad.yaml:1: name = '.hidden': "),
        ("strategies:\n  ../x: {strategy: lora}\n", "a name must match"),
        ("seed: 2020-13-45\n", "bad.yaml"),
    ],
)
def test_a_study_file_is_told_by_file_line_and_field(desk: Desk, content: str, fault: str) -> None:
    (desk.folder / "bad.yaml").write_text(content, encoding="utf-8")
    assert fault in desk.refuses("sweep", "bad.yaml", "--model", "model", "--dataset", "data")


@pytest.mark.parametrize("text", ["lora.rank=-1", "lora.rank=x"])
def test_a_fault_of_a_set_option_is_not_laid_to_the_file(desk: Desk, text: str) -> None:
    content = "model: model\ndataset: data\nstrategies:\n  lora: {rank: 4}\n"
    (desk.folder / "fine.yaml").write_text(content)
    assert "fine.yaml" not in desk.refuses("sweep", "fine.yaml", "--set", text)


@pytest.mark.parametrize("command", ["report", "leaderboard"])
def test_s05_a_run_folder_that_leads_elsewhere_is_not_read_or_written(
    desk: Desk, command: str, tmp_path: Path
) -> None:
    run = shutil.copytree(desk.folder / "finished", tmp_path / "run")
    (run / "report").symlink_to(tmp_path)
    assert "report: is a link" in desk.refuses(command, str(run))
    assert not list(tmp_path.glob("*.md"))


@pytest.mark.parametrize("name", ["trials", "checkpoints", "working", "report"])
def test_s05_no_link_leads_out_of_a_run_folder(desk: Desk, name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "study.json").write_text("{}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / name).symlink_to(elsewhere)
    text = desk.refuses("sweep", "--model", "model", "--dataset", "data", "--out", str(run))
    assert f"{name}: is a link, a folder is needed" in text
    assert not list(elsewhere.iterdir())


# What is generated below is wrong by construction, however it falls out.

TEXT = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NOT_TEXT = JSON.filter(lambda value: not isinstance(value, str)) | st.sampled_from(
    ["", " \t", "\n"]
)
SPLIT = st.sampled_from(["train", "validation", "test"])

Row = dict[str, Any]
Change = Callable[[str], bytes]


def _row(change: Callable[[Row], Row]) -> Change:
    return lambda line: json.dumps(change(json.loads(line))).encode()


ROWS: st.SearchStrategy[Change] = st.one_of(
    st.integers(1, 40).map(lambda n: lambda line: line[:-n].encode()),
    st.binary(min_size=1, max_size=40).map(lambda b: lambda line: b"\xff" + b.replace(b"\n", b"")),
    JSON.filter(lambda v: not isinstance(v, dict)).map(
        lambda v: lambda line: json.dumps(v).encode()
    ),
    NOT_TEXT.map(lambda v: _row(lambda row: {**row, "question_stem": v})),
    JSON.filter(lambda v: not isinstance(v, dict) or not {"text", "label"} <= v.keys()).map(
        lambda v: _row(lambda row: {**row, "choices": v})
    ),
    NOT_TEXT.map(
        lambda v: _row(lambda row: {**row, "choices": {"text": v, "label": ["A", "B", "C", "D"]}})
    ),
    JSON.filter(lambda v: v not in {"A", "B", "C", "D"} if isinstance(v, str) else True).map(
        lambda v: _row(lambda row: {**row, "answerKey": v})
    ),
    st.sampled_from(["question_stem", "choices", "answerKey"]).map(
        lambda k: _row(lambda row: {key: value for key, value in row.items() if key != k})
    ),
    st.integers(1 << 20, (1 << 20) + 9).map(lambda n: lambda line: b" " * n + line.encode()),
)

NOT_COUNT = JSON.filter(
    lambda v: not isinstance(v, int | float | str) or isinstance(v, bool)
    # YAML reads what looks like a number as one, and pydantic takes numbers that are whole
) | st.integers(max_value=0)
COUNTS = st.sampled_from(["trials", "epochs", "batch_size", "grace_epochs", "train_limit"])
KEYS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.tuples(COUNTS, NOT_COUNT.filter(lambda v: v is not None)).map(lambda p: {p[0]: p[1]}),
    st.text("abcdefgh_", min_size=4, max_size=12).map(lambda key: {f"x_{key}": 1}),
    TEXT.filter(lambda v: v not in {"cls", "mean", "last"}).map(lambda v: {"pooling": v}),
    TEXT.filter(lambda v: v not in {"auto", "fp32", "bf16"}).map(lambda v: {"precision": v}),
    TEXT.filter(lambda v: v not in {"tpe", "random"}).map(lambda v: {"sampler": v}),
    TEXT.map(lambda v: {"name": f"/{v}"}),
    TEXT.map(lambda v: {"strategies": [f"no-{v}"]}),
    st.lists(st.integers(), min_size=1).map(lambda v: {"strategies": v}),
    (st.booleans() | st.integers() | TEXT | st.lists(st.integers(), min_size=1)).map(
        lambda v: {"strategies": {"lora": {"start": v}}}
    ),
    st.one_of(st.integers(max_value=0), st.floats(max_value=0.5), TEXT.map(lambda v: f"r{v}")).map(
        lambda v: {"strategies": {"lora": {"rank": v}}}
    ),
    st.floats(max_value=-1e-9, allow_nan=False).map(lambda v: {"weight_decay": v}),
    st.sampled_from([float("nan"), float("inf")]).map(lambda v: {"clip_norm": v}),
    st.integers(max_value=-1).map(lambda v: {"seed": v}),
    TEXT.map(lambda v: {"dataset": f"./nowhere/{v}"}),
    TEXT.map(lambda v: {"model": f"./nowhere/{v}"}),
)
BYTES = st.one_of(
    st.binary(max_size=200).map(lambda b: b"\xff\xfe" + b),
    st.binary(max_size=200).map(lambda b: b"epochs: [" + b.replace(b"]", b"")),
    TEXT.map(lambda t: json.dumps([t]).encode()),
    st.integers(100, 2000).map(lambda n: b"[" * n),
)
OPTIONS = st.one_of(
    TEXT.map(lambda t: ["--time-budget", f"x{t}"]),
    TEXT.map(lambda t: ["--trial-timeout", f"-{t}s"]),
    st.integers(max_value=-1).map(lambda n: ["--max-retries", str(n)]),
    st.floats(max_value=0, allow_nan=False).map(lambda x: ["--max-gpu-hours", str(x)]),
    TEXT.map(lambda t: ["--set", t.replace("=", "")]),
    TEXT.map(lambda t: ["--set", f"lora.x{t}=1"]),
    TEXT.map(lambda t: [f"--no-such-{t}"]),
    st.integers(max_value=0).map(lambda n: ["--workers", str(n)]),
    TEXT.map(lambda t: [f"nowhere{t}.yaml"]),
    TEXT.map(lambda t: [f"nowhere-{t}"]),
)
REQUIRED = ("study", "arm", "number", "fingerprint", "strategy", "knobs", "seed", "status")
RECORDS: st.SearchStrategy[Change] = st.one_of(
    st.integers(3, 400).map(lambda n: lambda text: text[:-n].encode()),
    st.binary(max_size=80).map(lambda b: lambda text: b"\xff" + b),
    st.sampled_from(REQUIRED).map(
        lambda k: _row(lambda row: {key: value for key, value in row.items() if key != k})
    ),
    st.sampled_from(REQUIRED).map(lambda k: _row(lambda row: {**row, k: [None]})),
    TEXT.map(lambda t: _row(lambda row: {**row, f"x{t}": 1})),
    TEXT.map(lambda t: _row(lambda row: {**row, "status": f"x{t}"})),
    st.integers(2, 9).map(lambda n: _row(lambda row: {**row, "schema_version": n})),
    JSON.map(lambda v: lambda text: json.dumps([v]).encode()),
)


def _many(share: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test on generated inputs: a share of ``WHOLE`` in the whole battery, else of few."""
    count = round(share * (WHOLE if os.environ.get("FAULTS") == "whole" else QUICK))
    return settings(
        max_examples=max(4, count),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


Given = Mapping[str, Any]


def _restored(path: Path, content: bytes, check: Callable[[], None]) -> None:
    """Checks something while a file has other content."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        check()
    finally:
        path.write_bytes(before)


@_many(0.4)
@given(split=SPLIT, place=st.integers(0, 5), change=ROWS)
def test_generated_data_files_are_refused(
    desk: Desk, split: str, place: int, change: Change
) -> None:
    path = desk.folder / "data" / f"{split}.jsonl"
    lines = path.read_bytes().splitlines()
    lines[place] = change(lines[place].decode())

    def check() -> None:
        text = desk.refuses("sweep", "--model", "model", "--dataset", "data")
        assert f"{split}.jsonl:{place + 1}: " in text

    _restored(path, b"\n".join(lines), check)


@_many(0.3)
@given(content=st.one_of(KEYS.map(lambda keys: yaml.safe_dump(keys).encode()), BYTES))
def test_generated_study_files_are_refused(desk: Desk, content: bytes) -> None:
    path = desk.folder / "generated.yaml"
    path.write_bytes(content)
    options = [] if b"dataset" in content else ["--dataset", "data"]
    options += [] if b"model" in content else ["--model", "model"]
    text = desk.refuses("sweep", "generated.yaml", *options)
    assert "cannot" in text


@_many(0.1)
@given(options=OPTIONS)
def test_generated_options_are_refused(desk: Desk, options: list[str]) -> None:
    desk.refuses("sweep", "--model", "model", "--dataset", "data", *options)


@_many(0.2)
@given(change=RECORDS, command=st.sampled_from(["leaderboard", "report"]))
def test_generated_trial_records_are_refused(desk: Desk, change: Change, command: str) -> None:
    path = sorted((desk.folder / "finished" / "trials").glob("*.json"))[0]
    content = change(path.read_text(encoding="utf-8"))
    _restored(path, content, lambda: _refuses_record(desk, command, path))


def _refuses_record(desk: Desk, command: str, path: Path) -> None:
    text = desk.refuses(command, "finished")
    assert path.name in text.replace("\n", "")
