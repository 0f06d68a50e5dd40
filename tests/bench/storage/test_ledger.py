"""The run folder: whole files or none, damage named and left alone, one writer at a time."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.errors import LedgerError, StorageError
from bench.storage.files import write_whole
from bench.storage.ledger import AtWork, Ledger
from bench.tune.run import set_aside
from tests.helpers.records import broken, study, trial

ROOT = Path(__file__).parents[3]
HOLD_LOCK = """
import sys, time
from pathlib import Path
from bench.storage.ledger import Ledger
with Ledger(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs" / "demo")


def trial_file(ledger: Ledger, fingerprint: str) -> Path:
    return ledger.folder / "trials" / f"{fingerprint}.json"


def test_what_was_written_is_read_again(ledger: Ledger) -> None:
    written = [trial("lora", 0), trial("full", 1), broken("prefix", 2)]
    for record in written:
        ledger.write(record)
    records = Ledger(ledger.folder).records()
    assert records.readable == {record.fingerprint: record for record in written}
    assert records.damaged == {}


def test_a_folder_that_is_not_there_holds_nothing(ledger: Ledger) -> None:
    assert ledger.records().readable == {}
    assert not ledger.folder.exists()


def test_a_fuller_record_of_the_same_trial_replaces_it(ledger: Ledger) -> None:
    ledger.write(trial("lora", 0))
    ledger.write(trial("lora", 0, test=400))
    (record,) = ledger.records().readable.values()
    assert record.test is not None
    assert len(list((ledger.folder / "trials").iterdir())) == 1


def test_a_written_file_can_be_read_by_others_and_ends_with_a_line(ledger: Ledger) -> None:
    record = trial()
    ledger.write(record)
    path = trial_file(ledger, record.fingerprint)
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.read_bytes().endswith(b"}\n")


def cut_in_half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def rename(path: Path) -> Path:
    return path.rename(path.with_stem("0" * 16))


def of_another_schema(path: Path) -> Path:
    content = json.loads(path.read_bytes()) | {"schema_version": 2, "from_the_future": True}
    path.write_text(json.dumps(content))
    return path


def without_content(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def of_no_text(path: Path) -> Path:
    path.write_bytes(b"\xff\xfe\x00")
    return path


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (cut_in_half, "Invalid JSON"),
        (rename, "holds the record of"),
        (of_another_schema, "schema_version: Input should be 1"),
        (without_content, "Invalid JSON"),
        (of_no_text, "Invalid JSON"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_damaged_record_is_named_and_left_alone(
    ledger: Ledger, damage: Callable[[Path], Path], fault: str
) -> None:
    sound, bad = trial("lora", 0), trial("lora", 1)
    ledger.write(sound)
    ledger.write(bad)
    path = damage(trial_file(ledger, bad.fingerprint))
    content = path.read_bytes()
    records = ledger.records()
    assert list(records.readable) == [sound.fingerprint]
    assert list(records.damaged) == [path]
    assert fault in records.damaged[path]
    assert path.read_bytes() == content


def test_of_two_commands_that_set_a_damaged_file_aside_both_go_on(ledger: Ledger) -> None:
    record = ledger.write(trial())
    path = cut_in_half(trial_file(ledger, record.fingerprint))

    assert set_aside(path) == set_aside(path)


def test_a_damaged_file_that_cannot_be_set_aside_stops_the_run_by_name(ledger: Ledger) -> None:
    record = ledger.write(trial())
    path = cut_in_half(trial_file(ledger, record.fingerprint))
    aside = path.with_suffix(".json.damaged")
    aside.mkdir()

    with pytest.raises(StorageError, match=str(aside)):
        set_aside(path)


def test_a_damaged_file_set_aside_keeps_its_content_and_makes_room(ledger: Ledger) -> None:
    record = trial()
    ledger.write(record)
    path = cut_in_half(trial_file(ledger, record.fingerprint))
    content = path.read_bytes()
    aside = set_aside(path)
    assert aside.name == f"{record.fingerprint}.json.damaged"
    assert aside.read_bytes() == content
    assert ledger.records().damaged == {}
    ledger.write(record)
    assert list(ledger.records().readable) == [record.fingerprint]
    assert aside.read_bytes() == content


@pytest.mark.parametrize("step", ["fsync", "write", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "trials" / "a.json"
    write_whole(path, b"old")

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    elif step == "replace":
        monkeypatch.setattr(Path, "replace", full_disk)
    content = b"new" if step != "write" else "no bytes"
    with pytest.raises((StorageError, TypeError)):
        write_whole(path, content)  # type: ignore[arg-type]
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_content_and_folder_are_on_the_disk_before_a_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    sync, seen = os.fsync, []

    def watched(handle: int) -> None:
        seen.append((Path(f"/proc/self/fd/{handle}").resolve(), path.exists()))
        sync(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell which file is synced")
    monkeypatch.setattr(os, "fsync", watched)
    write_whole(path, b"content")
    (first, renamed_before), (second, renamed_after) = seen
    assert first.suffix == ".tmp"
    assert first.parent == second == tmp_path
    assert (renamed_before, renamed_after) == (False, True)


def test_a_temporary_file_left_by_a_power_cut_is_no_record(ledger: Ledger) -> None:
    ledger.write(trial())
    (ledger.folder / "trials" / ".abc.tmp").write_bytes(b"{")
    records = ledger.records()
    assert len(records.readable) == 1
    assert records.damaged == {}


@pytest.fixture
def locked(ledger: Ledger) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of the run folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(ledger.folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_the_lock_refuses_a_second_process_and_is_freed_when_the_first_is_killed(
    ledger: Ledger, locked: subprocess.Popen[str]
) -> None:
    with pytest.raises(LedgerError, match="another paretune command is writing here"):
        ledger.lock().__enter__()
    locked.send_signal(signal.SIGKILL)
    locked.wait(timeout=10)
    with ledger.lock():
        ledger.write(trial())
    assert len(ledger.records().readable) == 1


def test_the_lock_is_freed_when_the_work_under_it_fails(ledger: Ledger) -> None:
    def work() -> None:
        with ledger.lock():
            raise RuntimeError("it broke")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="it broke"):
            work()


def test_the_study_of_a_run_folder_is_read_again(ledger: Ledger) -> None:
    ledger.write_study(study())
    assert ledger.study() == study()


def test_a_folder_without_a_study_says_what_to_name_instead(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"no study\.json here; name a folder that `paretune"):
        Ledger(tmp_path).study()
    with pytest.raises(LedgerError, match=r"no study\.json here"):
        Ledger(tmp_path / "nowhere").study()


@pytest.mark.parametrize(
    ("change", "fault"),
    [({"schema_version": 9}, "schema_version: "), ({"sampler": None}, "sampler: ")],
)
def test_a_study_that_cannot_be_read_names_file_and_field(
    ledger: Ledger, change: dict[str, object], fault: str
) -> None:
    ledger.write_study(study())
    path = ledger.folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(LedgerError, match=f"study.json: {fault}"):
        ledger.study()


def test_checkpoints_and_reports_lie_inside_the_run_folder(ledger: Ledger) -> None:
    assert ledger.checkpoint("abc") == ledger.folder / "checkpoints" / "abc.safetensors"
    assert ledger.report_folder == ledger.folder / "report"


def at_work(number: int, deaths: int = 0) -> AtWork:
    return AtWork(trial=f"lora-00{number}", fingerprint=f"f{number}", attempt=1, deaths=deaths)


def test_a_trial_is_at_work_until_its_record_is_written(ledger: Ledger) -> None:
    record = trial()
    begun = AtWork(trial="lora-000", fingerprint=record.fingerprint, attempt=2, deaths=1)
    ledger.begin(begun)
    ledger.begin(at_work(7))
    assert ledger.at_work() == [begun, at_work(7)]
    ledger.write(record)
    assert ledger.at_work() == [at_work(7)]


def test_the_next_command_clears_what_was_half_done_but_remembers_deaths(ledger: Ledger) -> None:
    ledger.write(trial())
    for name in ("trials/.half.tmp", "checkpoints/.half.tmp"):
        path = ledger.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{")
    ledger.begin(at_work(1))
    ledger.begin(at_work(2, deaths=1))
    ledger.stack("f1").write_text("old")
    (ledger.folder / ".study.tmp").write_bytes(b"{")
    with ledger.lock():
        assert not list(ledger.folder.rglob("*.tmp"))
        assert ledger.read_stack("f1") is None
        (left,) = ledger.at_work()
        assert (left.fingerprint, left.attempt, left.deaths) == ("f2", 0, 1)
    assert len(ledger.records().readable) == 1


def test_whether_a_command_is_at_work_is_known(
    ledger: Ledger, locked: subprocess.Popen[str]
) -> None:
    assert ledger.locked
    locked.send_signal(signal.SIGKILL)
    locked.wait(timeout=10)
    assert not ledger.locked
    assert not Ledger(ledger.folder / "nowhere").locked


def test_a_link_among_the_records_is_not_followed(ledger: Ledger, tmp_path: Path) -> None:
    record = trial()
    ledger.write(record)
    path = trial_file(ledger, record.fingerprint)
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    records = ledger.records()
    assert records.readable == {}
    assert records.damaged == {path: "is a link"}


def test_a_file_that_cannot_be_written_is_told_with_path_size_and_room(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StorageError, match=r"a/b\.json \(3 bytes\) cannot be written: ") as caught:
        write_whole(tmp_path / "a" / "b.json", b"new")
    assert caught.value.reason in {"Not a directory", "File exists"}
