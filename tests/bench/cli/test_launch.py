from __future__ import annotations

import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bench.cli.options import parsed
from bench.cli.remote import launch as parcel
from bench.cli.remote.jobs import MOST, KnownJob, known_jobs, meant, remember
from bench.cli.remote.launch import (
    Copy,
    Launch,
    _check,
    _is_here,
    _remember,
    check_sizes,
    shell_path,
    write_parcel,
)
from bench.errors import ClusterError, Faults
from bench.study.run_options import RunOptions
from tests.helpers.asking import Command
from tests.helpers.folders import write_dataset, write_model


@pytest.fixture
def copies(tmp_path: Path) -> list[Copy]:
    model, data = write_model(tmp_path / "model"), write_dataset(tmp_path / "data")
    (model / "training_args.bin").write_bytes(b"of no use")
    (data / "notes.txt").write_text("of no use")
    return [Copy(key="model", folder=model), Copy(key="dataset", folder=data)]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_a_parcel_holds_the_study_and_what_a_sweep_reads(
    tmp_path: Path, copies: list[Copy]
) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text("trials: 3\n")
    with zipfile.ZipFile(write_parcel(tmp_path / "a.zip", study, copies)) as made:
        names = set(made.namelist())

    assert {"mine.yaml", "inputs/dataset/data/test.jsonl", "inputs/model/model/config.json"} < names
    assert not [name for name in names if "of no use" in name or name.endswith((".bin", "s.txt"))]


def test_the_same_content_is_the_same_parcel(tmp_path: Path, copies: list[Copy]) -> None:
    first = write_parcel(tmp_path / "a.zip", None, copies).read_bytes()
    for path in copies[1].files:
        path.touch()

    assert write_parcel(tmp_path / "b.zip", None, copies).read_bytes() == first


def test_a_folder_that_is_too_large_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, copies: list[Copy]
) -> None:
    monkeypatch.setattr(parcel, "LIMIT", 1000)
    faults = Faults()
    check_sizes(copies, faults)

    assert len(faults.problems) == 2
    assert all("--no-copy" in problem for problem in faults.problems)


def test_everything_wrong_with_a_study_is_told_before_the_cluster_is_asked(
    command: Command, home: Path, nobody: str
) -> None:
    options = ("--epochs", "0", "--dataset", "nowhere", "--address", "auto")
    code, _, told = command(
        *("launch", "quick", "--cluster", nobody, "--out", "runs/x", "--", *options)
    )

    assert code == 2
    for fault in ("epochs = 0", "'nowhere'", "--address", "--out runs/x"):
        assert fault in told
    assert nobody not in told
    assert not home.exists()


def test_the_driver_is_asked_for_all_that_was_typed(tmp_path: Path) -> None:
    """A share or a dry run that got lost would have the cluster run the whole search."""
    data = write_dataset(tmp_path / "data")
    words = ("--dataset", str(data), "--strategies", "lora", "--set", "lora.rank=8", "--shard",
             "1/2", "--dry-run", "--time-budget", "1h30m", "--insecure-cluster")  # fmt: skip
    checked = _check(
        Launch(study="quick", cluster="", out=None, copy=True, python="python", insecure=True,
               detach=True, as_lines=False, words=words)
    )  # fmt: skip
    asked, _ = parsed(checked.request.words[1:])

    assert asked.keys == {"dataset": "inputs/dataset/data", "strategies": "lora"}
    assert asked.sets == ("lora.rank=8",)
    assert asked.options == RunOptions.model_validate(
        {"shard": "1/2", "dry_run": True, "time_budget": "1h30m", "insecure_cluster": True,
         "address": "auto"}
    )  # fmt: skip


def test_a_known_dataset_is_not_taken_for_a_folder_of_that_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "elementary")
    write_dataset(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)

    assert [_is_here(name) for name in ("elementary", "mine", "none")] == [False, True, False]


def test_an_unknown_option_of_the_sweep_is_a_usage_error(command: Command, nobody: str) -> None:
    code, _, told = command("launch", "quick", "--cluster", nobody, "--", "--trails", "3")

    assert code == 2
    assert "No such option: --trails" in told


@pytest.mark.parametrize("verb", ["attach", "stop", "jobs", "fetch"])
def test_a_cluster_that_does_not_answer_is_told_with_the_way_out(
    command: Command, home: Path, nobody: str, verb: str
) -> None:
    code, _, told = command(verb, "--cluster", nobody)

    assert code == 2
    assert f"no job server answers at http://{nobody}" in told
    assert "ray dashboard" in told


@pytest.mark.parametrize(
    "cluster", ["missing.yaml", "ftp://host:1", "host", "http://me:secret@host:8265", "host:port"]
)
def test_what_is_no_cluster_is_refused(command: Command, home: Path, cluster: str) -> None:
    code, _, told = command("jobs", "--cluster", cluster)

    assert code == 2
    assert told.startswith("the cluster cannot be used: --cluster")
    assert "secret" not in told


def test_a_run_folder_is_fetched_to_this_machine_only(command: Command, nobody: str) -> None:
    code, _, told = command("fetch", "--cluster", nobody, "--to", "s3://bucket/run")

    assert code == 2
    assert "--to s3://bucket/run: must be a folder of this machine" in told


def test_without_a_launch_the_cluster_must_be_named(command: Command, home: Path) -> None:
    code, _, told = command("attach")

    assert code == 2
    assert "--cluster" in told


def test_the_last_launch_is_meant_unless_another_is_named(home: Path, tmp_path: Path) -> None:
    first = KnownJob(job="a-1", cluster="127.0.0.1:1")
    last = KnownJob(job="b-2", cluster="127.0.0.1:2", insecure=True)
    remember(first)
    remember(last)

    assert meant(None, None) == last
    assert meant("a-1", None) == first
    assert meant("c-3", None) == KnownJob(job="c-3", cluster="127.0.0.1:2", insecure=True)
    assert meant(None, "127.0.0.1:1").job == ""
    file = tmp_path / "cluster.yaml"
    file.touch()
    assert meant("a-1", str(file)).cluster == str(file)


def test_a_launch_that_cannot_be_remembered_is_told_and_goes_on(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write_text("no folder")
    _remember(KnownJob(job="a-1", cluster="x"))

    assert "name the job in later commands" in capsys.readouterr().out


def test_only_the_latest_launches_are_remembered_and_damage_is_forgotten(home: Path) -> None:
    for number in range(MOST + 1):
        remember(KnownJob(job=f"a-{number}", cluster="x"))
    assert [known_jobs()[0].job, len(known_jobs())] == ["a-1", MOST]

    (home / ".paretune" / "jobs.json").write_text("{")
    assert known_jobs() == ()
    with pytest.raises(ClusterError):
        meant("a-1", None)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("~/runs/x", "~/runs/x"),
        ("~/my runs", "~/'my runs'"),
        ("/a b", "'/a b'"),
        ("s3://b/x", "s3://b/x"),
    ],
)
def test_paths_are_quoted_but_for_the_home_they_begin_with(path: str, shown: str) -> None:
    assert shell_path(path) == shown


class _Open(BaseHTTPRequestHandler):
    """Answers as a job server that asks for no token."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"authentication_mode": "disabled"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


def test_a_server_elsewhere_that_lets_in_everyone_is_refused(command: Command, home: Path) -> None:
    with HTTPServer(("127.0.0.9", 0), _Open) as server:  # not the address of this machine's own
        threading.Thread(target=server.handle_request, daemon=True).start()
        code, _, told = command("jobs", "--cluster", f"127.0.0.9:{server.server_port}")

    assert code == 2
    assert "asks for no token" in told
    assert "--insecure-cluster" in told


def test_a_dataset_goes_along_as_a_folder_of_tables_or_as_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("train.csv", "validation.csv", "test.csv", "notes.txt"):
        (folder / name).write_text("text,label\n")
    (tmp_path / "mine.csv").write_text("text,label\n")
    copies = [
        Copy(key="dataset", folder=folder),
        Copy(key="dataset", folder=tmp_path / "mine.csv"),
    ]
    with zipfile.ZipFile(write_parcel(tmp_path / "parcel.zip", None, copies)) as parcel:
        assert sorted(parcel.namelist()) == [
            "inputs/dataset/mine.csv",
            *(f"inputs/dataset/texts/{split}.csv" for split in ("test", "train", "validation")),
        ]
    assert copies[1].there == "inputs/dataset/mine.csv"
