"""A run folder in an object store: the same promises as on a disk, held on a real S3 server."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.storage.locks
from bench.cli.remote.fetch import Origin, check_target, download
from bench.errors import LedgerError, StorageError
from bench.storage.files import (
    create,
    files,
    local_copy,
    location,
    read_all,
    read_records,
    read_whole,
    remove,
    write_whole,
)
from bench.storage.ledger import AtWork, Ledger
from bench.storage.locks import Share, Taken, held, is_held
from bench.trackers.base import RunIdentity
from bench.tune.run import set_aside
from tests.helpers.records import broken, study, trial
from tests.helpers.stores import BUCKET, Store, s3_store

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from bench.storage.ledger import Ledger
from bench.storage.files import location
with Ledger(location(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, s3_store() as running:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def ledger(store: Store, request: pytest.FixtureRequest) -> Ledger:
    return Ledger(location(f"s3://{BUCKET}/{abs(hash(request.node.name))}/demo"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.storage.locks, "BEAT", 0.1)
    monkeypatch.setattr(bench.storage.locks, "STALE", 0.6)
    monkeypatch.setattr(bench.storage.locks, "SETTLE", 0.05)


def test_what_was_written_is_read_again_as_one_object_per_trial(
    ledger: Ledger, store: Store
) -> None:
    written = [trial("lora", 0), trial("full", 1), broken("prefix", 2)]
    for record in written:
        ledger.write(record)
    asked = ledger.write_study(study(("lora", "full", "prefix"), planned=3))

    found = Ledger(ledger.folder).records()

    assert found.readable == {record.fingerprint: record for record in written}
    assert found.damaged == {}
    assert ledger.study() == asked
    assert ledger.freeze() is None
    names = store.files.ls(f"{str(ledger.folder).removeprefix('s3://')}/trials")
    assert len(names) == 3


def test_a_place_where_nothing_is_holds_nothing(ledger: Ledger) -> None:
    assert ledger.records().readable == {}
    assert ledger.at_work() == []
    assert not ledger.locked
    with pytest.raises(LedgerError, match=r"no study\.json here"):
        ledger.study()


def test_damage_is_named_and_set_aside(ledger: Ledger) -> None:
    record = ledger.write(trial("lora", 0))
    path = ledger.folder / "trials" / "0badbadbadbad000.json"
    write_whole(path, b'{"study": ')

    found = ledger.records()
    aside = set_aside(path)

    assert [*found.damaged] == [path]
    assert aside.name == "0badbadbadbad000.json.damaged"
    assert ledger.records().readable == {record.fingerprint: record}
    assert ledger.records().damaged == {}


def test_of_two_commands_that_set_a_damaged_file_aside_both_go_on(ledger: Ledger) -> None:
    path = ledger.folder / "trials" / "0badbadbadbad000.json"
    write_whole(path, b'{"study": ')

    assert set_aside(path) == set_aside(path)


def test_all_that_track_a_run_in_a_store_know_it_by_one_name(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (RunIdentity.of("demo", ledger.folder) for _ in range(2))

    assert first == second
    assert first.folder == tmp_path / "runs" / "demo"
    assert read_whole(ledger.folder / "tracking.txt").decode() == first.run
    assert [*tmp_path.iterdir()] == []


def test_marks_of_trials_at_work_come_and_go(ledger: Ledger) -> None:
    record = trial("lora", 0)
    mark = AtWork(trial="lora-000", fingerprint=record.fingerprint, attempt=1, deaths=0)
    ledger.begin(mark)
    assert ledger.at_work() == [mark]
    ledger.write(record)
    assert ledger.at_work() == []


def test_a_stamp_changes_with_the_content(ledger: Ledger) -> None:
    path = ledger.folder / "trials" / "x.json"
    write_whole(path, b"one")
    before = files(ledger.folder / "trials", ".json")
    write_whole(path, b"two")
    after = files(ledger.folder / "trials", ".json")
    assert [*before] == [*after] == [path]
    assert before != after


def test_many_are_read_together_and_what_is_missing_is_told(ledger: Ledger) -> None:
    here, gone = ledger.folder / "here", ledger.folder / "gone"
    write_whole(here, b"content")
    found = read_all([here, gone])
    assert found[here] == b"content"
    assert isinstance(found[gone], FileNotFoundError)
    remove(gone)


def test_a_library_that_wants_a_path_gets_a_copy(ledger: Ledger) -> None:
    write_whole(ledger.checkpoint("abc"), b"tensors")
    with local_copy(ledger.checkpoint("abc")) as copy:
        assert copy.name == "abc.safetensors"
        assert copy.read_bytes() == b"tensors"
    assert not copy.exists()


def test_a_bucket_that_is_not_there_stops_a_run_with_its_address(store: Store) -> None:
    ledger = Ledger(location("s3://nowhere/demo"))
    with pytest.raises(StorageError, match=r"s3://nowhere/demo/trials/.* cannot be written"):
        ledger.write(trial("lora", 0))


def test_what_is_made_once_is_not_made_twice(ledger: Ledger) -> None:
    place = ledger.folder / "once"
    assert not isinstance(place, Path)
    assert create(place, b"first")
    assert not create(place, b"second")
    assert place.read_bytes() == b"first"


def test_one_command_at_a_time_writes(ledger: Ledger, quick: None) -> None:
    with ledger.lock():
        assert ledger.locked
        began = time.monotonic()
        with pytest.raises(LedgerError, match="another paretune command"), ledger.lock():
            pass
        assert time.monotonic() - began < 0.6  # a heartbeat tells, not the age
    assert not ledger.locked


def test_shares_write_side_by_side_and_keep_the_whole_out(ledger: Ledger, quick: None) -> None:
    with ledger.lock(Share(1, 2)), ledger.lock(Share(2, 2)):
        for other in (Share(1, 3), Share(1, 1)):
            with pytest.raises(LedgerError, match="another paretune command"), ledger.lock(other):
                pass
    with ledger.lock():
        pass


def test_one_of_several_closes(ledger: Ledger, quick: None) -> None:
    with ledger.closing() as first, ledger.closing() as second:
        assert (first, second) == (True, False)
    with ledger.closing() as again:
        assert again


def test_the_lease_of_a_killed_command_is_taken_over(ledger: Ledger, store: Store) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ledger.folder)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert ledger.locked
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert not ledger.locked  # a process of this machine that has ended
    with ledger.lock():
        assert ledger.locked


def test_a_lease_of_another_machine_is_taken_over_once_it_has_not_changed_for_long(
    ledger: Ledger, quick: None
) -> None:
    path = ledger.folder / ".lock"
    write_whole(path, b'{"token": "other", "beat": 3, "machine": "elsewhere", "process": 1}')
    assert is_held(path)
    began = time.monotonic()
    with held(path):
        assert time.monotonic() - began > 0.6
        assert b'"other"' not in path.read_bytes()


def test_of_two_that_take_over_one_gives_way(ledger: Ledger, quick: None) -> None:
    path = ledger.folder / ".lock"
    write_whole(path, b'{"token": "other", "beat": 3, "machine": "elsewhere", "process": 1}')
    ends: list[str] = []

    def take() -> None:
        try:
            with held(path):
                ends.append("held")
                time.sleep(1)
        except Taken:
            ends.append("taken")

    both = [threading.Thread(target=take) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(ends) == ["held", "taken"]


def test_whoever_has_lost_the_lease_is_interrupted(ledger: Ledger, quick: None) -> None:
    path = ledger.folder / ".lock"

    def lose() -> None:
        with held(path):
            write_whole(path, b'{"token": "other", "beat": 0}')
            for _ in range(100):
                time.sleep(0.05)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            lose()
    finally:
        signal.signal(signal.SIGINT, before)
    assert b'"other"' in path.read_bytes()


def test_records_of_a_store_say_when_they_hold_another_trial(ledger: Ledger) -> None:
    record = trial("lora", 0)
    path = ledger.folder / "trials" / "0000000000000000.json"
    write_whole(path, record.model_dump_json().encode())
    assert read_records([path])[path] == f"holds the record of {record.fingerprint}"


def test_a_run_folder_is_brought_home_without_checkpoints_unless_asked(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.write_study(study(("lora",), planned=1))
    record = ledger.write(trial("lora", 0))
    write_whole(ledger.checkpoint(record.fingerprint), b"tensors")
    write_whole(ledger.report_folder / "report.md", b"# report")
    assert not isinstance(ledger.folder, Path)
    origin = Origin(study="demo", folder=str(ledger.folder))

    for checkpoints in (False, True):
        said = download(ledger.folder, tmp_path / "home", origin, checkpoints=checkpoints)
        home = Ledger(tmp_path / "home")
        assert home.records().readable == {record.fingerprint: record}
        assert (tmp_path / "home" / "report" / "report.md").read_bytes() == b"# report"
        assert home.checkpoint(record.fingerprint).exists() == checkpoints
        assert said.startswith(f"{3 + checkpoints} files")
    check_target(tmp_path / "home", origin)
    with pytest.raises(LedgerError, match="was fetched from"):
        check_target(tmp_path / "home", Origin(study="demo", folder="s3://other/run"))
