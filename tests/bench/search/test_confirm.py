"""Search, freeze, confirm, test: whole runs on a real local Ray."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.ledger import Ledger
from bench.questions import Question
from bench.record import Status
from bench.sealed import SealedTest
from bench.search.cluster import Demand
from bench.search.events import Ended, Event, Frozen, Scored
from bench.search.prepare import Prepared, prepare
from bench.search.run import run_study
from bench.study import load_study
from bench.study_record import Freeze
from reports.confirmed import confirmed
from tests.bench.search.test_early_ends import paretune, write_study

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

ARMS = {"linear": {}, "bitfit": {}}


class SealBroken(Exception):
    """Somebody looked at the test questions."""


@dataclass(frozen=True, kw_only=True)
class Booby(SealedTest):
    """A test split that raises as soon as it is opened."""

    def open(self, freeze: Freeze) -> tuple[Question, ...]:
        raise SealBroken


def prepared(folder: Path) -> Prepared:
    """A study of two arms with two fresh seeds."""
    write_study(folder, strategies=ARMS, trials=2, confirm=2, epochs=1)
    keys = {"model": str(folder / "model"), "dataset": str(folder / "data")}
    return prepare(load_study(folder / "tiny.yaml", keys), folder / "run", "paretune sweep")


@pytest.mark.parametrize("seeds", [2, pytest.param(0, marks=pytest.mark.slow)])
def test_the_test_split_cannot_be_opened_before_all_that_was_frozen_has_been_confirmed(
    tmp_path: Path, seeds: int
) -> None:
    ready = prepared(tmp_path)
    test = ready.dataset.test
    file = ready.study.file.model_copy(update={"confirm": seeds})
    ready = replace(
        ready,
        study=replace(ready.study, file=file),
        dataset=replace(ready.dataset, test=Booby(summary=test.summary, read=test.read)),
    )
    events: list[Event] = []
    with pytest.raises(SealBroken):
        run_study(ready, Demand(), events.append)

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
    assert re.search(r"linear-00\d-seed1001 test 0\.\d{3}", said)


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
