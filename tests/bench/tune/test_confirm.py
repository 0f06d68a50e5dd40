"""Search, freeze, confirm, test: whole runs on a real local Ray."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.data.load import SealedTest
from bench.data.tasks.multiple_choice import Question
from bench.records.events import Ended, Event, Frozen, Scored
from bench.records.study_record import Freeze
from bench.records.trial_record import Status
from bench.storage.ledger import Ledger
from bench.study.experiment import Experiment, prepare
from bench.study.file import load_study
from bench.study.run_options import RunOptions
from bench.tune.run import run_study
from reports.repeats import confirmed
from tests.bench.tune.test_early_ends import paretune, write_study

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

ARMS = {"linear": {}, "bitfit": {}}


class SealBroken(Exception):
    """Somebody looked at the test questions."""


@dataclass(frozen=True, kw_only=True)
class Booby(SealedTest):
    """A test split that raises as soon as it is opened."""

    def open(self, freeze: Freeze) -> tuple[Question, ...]:
        raise SealBroken


def broken() -> tuple[Question, ...]:
    raise SealBroken


def prepared(folder: Path) -> Experiment:
    """A study of two arms with two fresh seeds."""
    write_study(folder, strategies=ARMS, trials=2, confirm=2, epochs=1)
    keys = {"model": str(folder / "model"), "dataset": str(folder / "data")}
    return prepare(load_study(folder / "tiny.yaml", keys), folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 0])
def test_the_test_split_cannot_be_opened_before_all_that_was_frozen_has_been_confirmed(
    tmp_path: Path, seeds: int
) -> None:
    ready = prepared(tmp_path)
    test = ready.dataset.test
    file = ready.study.file.model_copy(update={"confirm": seeds})
    ready = replace(
        ready,
        study=replace(ready.study, file=file),
        dataset=replace(ready.dataset, test=Booby(summary=test.summary, read=broken)),
    )
    events: list[Event] = []
    with pytest.raises(SealBroken):
        run_study(ready, RunOptions(), events.append)

    run = ready.ledger.run()
    assert run.test_scorings == 0
    assert not any(isinstance(event, Scored) for event in events)
    if seeds:
        kinds = [type(event) for event in events]
        assert sum(kind is Ended for kind in kinds[: kinds.index(Frozen)]) == 4
    assert run.freeze is not None
    assert [record.status for record in run.searched] == [Status.COMPLETED] * 4
    entries = confirmed(run)
    assert all(len(entry.runs) == (seeds or 1) for entry in entries)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("confirm")
    write_study(folder, strategies=ARMS, trials=2, confirm=2, epochs=1)
    done = paretune("sweep", "tiny.yaml", "--out", "run", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def records(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "run" / "trials").glob("*.json"))
    return [json.loads(path.read_bytes()) for path in paths]


def test_what_is_best_is_run_on_fresh_seeds_alone_and_only_that_is_tested(
    swept: tuple[Path, str],
) -> None:
    folder, said = swept
    frozen = json.loads((folder / "run" / "frozen.json").read_bytes())
    assert frozen["seeds"] == [1001, 1002]
    best = [c["fingerprint"] for c in frozen["candidates"]]
    assert len({c["arm"] for c in frozen["candidates"]}) == 2

    found = records(folder)
    again = [record for record in found if record["confirms"]]
    assert sorted((r["confirms"], r["seed"]) for r in again) == sorted(
        (fingerprint, seed) for fingerprint in best for seed in (1001, 1002)
    )
    assert all(record["test"] is not None for record in again)
    assert all(record["test"] is None for record in found if not record["confirms"])
    assert not any(record["seconds"]["device_shared"] for record in again)
    assert all(record["inference"]["single"]["repeats"] == 30 for record in again)
    assert f"frozen: {len(best)} configurations, 2 fresh seeds each; 1 at a time" in said
    assert re.search(r"linear-00\d-seed1001 test accuracy 0\.\d{3}", said)


@pytest.mark.slow
def test_confirm_adds_seeds_and_the_command_that_is_kept_asks_for_them(
    swept: tuple[Path, str],
) -> None:
    folder, _ = swept
    before = {record["fingerprint"]: record for record in records(folder)}
    more = paretune("confirm", "run", "--seeds", "3", folder=folder)
    assert more.returncode == 0, more.stdout + more.stderr
    after = {record["fingerprint"]: record for record in records(folder)}

    new = [after[fingerprint] for fingerprint in after.keys() - before.keys()]
    assert {record["seed"] for record in new} == {1003}
    assert {fingerprint: after[fingerprint] for fingerprint in before} == before
    study = json.loads((folder / "run" / "study.json").read_bytes())
    assert study["command"] == "paretune sweep tiny.yaml --out run --confirm 3"

    same = paretune(*study["command"].split()[1:], folder=folder)
    assert same.returncode == 0, same.stdout + same.stderr
    assert " started" not in same.stdout


@pytest.mark.slow
def test_a_dry_run_of_what_is_done_finds_nothing_left(swept: tuple[Path, str]) -> None:
    done = paretune("sweep", "tiny.yaml", "--out", "run", "--dry-run", folder=swept[0])

    assert done.returncode == 0, done.stdout + done.stderr
    assert " ".join(done.stdout.split()).count("0 trials, 0.00 s") == 1


def test_confirm_refuses_a_run_whose_data_is_another_now(swept: tuple[Path, str]) -> None:
    folder, _ = swept
    path = folder / "data" / "train.jsonl"
    kept = path.read_text()
    path.write_text("".join(f"{line}\n" for line in kept.splitlines()[1:]))
    refused = paretune("confirm", "run", folder=folder)
    path.write_text(kept)

    assert refused.returncode == 2
    assert "are not those of its search any more, for bitfit, linear" in refused.stderr


@pytest.mark.slow
def test_a_run_without_confirmation_is_confirmed_later(tmp_path: Path) -> None:
    write_study(tmp_path, strategies={"linear": {}}, trials=1, confirm=0, epochs=1)
    first = paretune("sweep", "tiny.yaml", "--out", "run", folder=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert sum(record["test"] is not None for record in records(tmp_path)) == 1

    later = paretune("confirm", "run", "--seeds", "2", folder=tmp_path)
    assert later.returncode == 0, later.stdout + later.stderr
    run = Ledger(tmp_path / "run").run()
    assert [len(entry.runs) for entry in confirmed(run)] == [2]
    assert run.test_scorings == 3


def begin(folder: Path, until: str) -> subprocess.Popen[str]:
    """Starts the sweep, and comes back when it has said so much."""
    command = [sys.executable, "-u", "-m", "bench", "sweep", "tiny.yaml", "--out", "run"]
    running = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if until in line:
            return running
    raise AssertionError(f"ended without saying {until!r}")


def finish(folder: Path) -> list[dict[str, Any]]:
    """Runs the same command to its end, and returns the records with fresh seeds."""
    done = paretune("sweep", "tiny.yaml", "--out", "run", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return [record for record in records(folder) if record["confirms"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number"),
    [("frozen:", signal.SIGTERM), ("[4/4 done", signal.SIGINT)],
)
def test_a_signal_between_the_stages_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    write_study(tmp_path, strategies=ARMS, trials=2, confirm=2, epochs=1)
    running = begin(tmp_path, moment)
    running.send_signal(number)
    said, _ = running.communicate(timeout=120)

    assert running.returncode == 130, said
    assert (tmp_path / "run" / "report" / "report.html").exists()
    before = records(tmp_path)
    assert sum(record["test"] is not None for record in before) == 0
    again = finish(tmp_path)
    assert {record["seed"] for record in again} == {1001, 1002}
    assert all(record["test"] is not None for record in again)


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_confirms_loses_no_seed(tmp_path: Path) -> None:
    write_study(tmp_path, strategies=ARMS, trials=2, confirm=2, epochs=1)
    running = begin(tmp_path, "seed1001 completed")
    running.kill()
    running.communicate(timeout=60)
    before = {record["fingerprint"]: record for record in records(tmp_path)}
    frozen = (tmp_path / "run" / "frozen.json").read_bytes()
    again = finish(tmp_path)

    kept = [record for record in again if record["fingerprint"] in before]
    assert kept
    for record in kept:
        assert record | {"test": None} == before[record["fingerprint"]]
    assert (tmp_path / "run" / "frozen.json").read_bytes() == frozen


@pytest.mark.slow
def test_a_damaged_freeze_is_set_aside_and_made_anew(swept: tuple[Path, str]) -> None:
    folder, _ = swept
    path = folder / "run" / "frozen.json"
    path.write_text("{")
    done = paretune("sweep", "tiny.yaml", "--out", "run", "--confirm", "3", folder=folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "frozen.json was damaged" in done.stdout
    assert " started" not in done.stdout
    assert json.loads(path.read_bytes())["seeds"] == [1001, 1002, 1003]


@pytest.mark.slow
def test_other_test_questions_are_answered_anew_or_their_lack_is_told(tmp_path: Path) -> None:
    write_study(tmp_path, strategies={"linear": {}}, trials=1, confirm=2, epochs=1)
    finish(tmp_path)
    path = tmp_path / "data" / "test.jsonl"
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[1:]))
    renewed = finish(tmp_path)
    assert [len(record["test"]["predictions"]) for record in renewed] == [23, 23]

    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[1:]))
    for checkpoint in (tmp_path / "run" / "checkpoints").iterdir():
        checkpoint.unlink()
    done = paretune("sweep", "tiny.yaml", "--out", "run", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("could not be scored on test") >= 2
