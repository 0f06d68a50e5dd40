"""Where a run stands, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.status import run_status
from bench.errors import LedgerError
from bench.records.study_record import BudgetSpent, Run
from bench.records.trial_record import Status
from bench.storage.ledger import Ledger
from tests.helpers.folders import write_run
from tests.helpers.records import study, trial
from tests.helpers.requests import recorded_request
from tests.helpers.simulate import World, simulated_run

RUN = simulated_run({"full": 0.6, "lora": 0.55}, World(seeds=3), trials=2)
OLD_DATA = "ffff000011112222"


def test_a_whole_run_has_nothing_left(tmp_path: Path) -> None:
    found = run_status(write_run(tmp_path / "run", RUN))

    assert found.confirmed == (6, 6)
    assert not found.is_open
    assert found.command == f"paretune sweep --out {tmp_path / 'run'}"


def test_the_command_names_the_folder_where_it_lies_now(tmp_path: Path) -> None:
    moved = Run.of(
        RUN.study.model_copy(
            update={"request": recorded_request("paretune sweep quick --out run --trials 2")}
        ),
        (*RUN.searched, *RUN.confirmed),
        RUN.freeze,
    )
    found = run_status(write_run(tmp_path / "moved", moved))

    assert found.command == f"paretune sweep quick --trials 2 --out {tmp_path / 'moved'}"


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT])
def test_a_fresh_seed_that_was_lost_to_an_accident_will_be_run_again(
    tmp_path: Path, status: Status
) -> None:
    folder = write_run(tmp_path / "run", RUN)
    lost = RUN.confirmed[0].model_copy(update={"status": status, "test": None, "accuracy": None})
    Ledger(folder).write(lost)
    found = run_status(folder)

    assert (found.confirmed, found.lost, found.again) == ((6, 6), 1, 1)
    assert found.is_open


def test_a_search_that_was_never_frozen_is_not_finished(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", RUN)
    (folder / "frozen.json").unlink()

    assert run_status(folder).is_open


def test_answers_to_other_test_questions_have_to_be_given_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", RUN)
    record = RUN.confirmed[0]
    assert record.test is not None
    stale = record.test.model_copy(update={"data": OLD_DATA})
    Ledger(folder).write(record.model_copy(update={"test": stale}))
    found = run_status(folder)

    assert found.unscored == [record.trial]
    assert found.is_open


def test_a_damaged_freeze_is_told_and_kept_from_those_who_only_look(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", RUN)
    (folder / "frozen.json").write_text("{")
    found = run_status(folder)

    assert list(found.damaged) == ["frozen.json"]
    assert found.is_open
    with pytest.raises(LedgerError) as caught:
        Ledger(folder).run()
    assert "frozen.json: Invalid JSON" in str(caught.value)
    assert "run the study's command again: it sets damaged files aside" in str(caught.value)
    assert (folder / "frozen.json").read_text() == "{"


def test_what_a_budget_ended_can_be_confirmed_without_searching_on(tmp_path: Path) -> None:
    spent = study(("lora",), planned=4, budget_spent=BudgetSpent(budget="30m", stopped=0))
    run = Run(study=spent, searched=(trial("lora", context="x"),))
    found = run_status(write_run(tmp_path / "run", run))

    assert found.confirm == f"paretune confirm {tmp_path / 'run'}"
