"""Timings of different devices never stand in one column without saying so."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from rich.console import Console

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports.analysis import analyse
from reports.devices import arms_by_device, device_note, devices_of
from reports.page.html import html_report
from reports.tables import leaderboard_table
from reports.text.latex import latex_tables
from reports.text.markdown import report
from reports.text.terminal import leaderboard_view
from tests.helpers.records import ENVIRONMENT, broken, study, trial
from tests.helpers.simulate import World, simulated_run

SAYS = "Timings are not comparable: several devices."


def on(record: TrialRecord, **where: object) -> TrialRecord:
    return record.model_copy(update={"environment": ENVIRONMENT.model_copy(update=where)})


def mixed_run() -> Run:
    """Fresh seeds of one arm ran on another device than those of the other."""
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=2, questions=100), trials=2)
    moved = (on(r, device="NVIDIA L4") if r.arm == "lora" else r for r in run.confirmed)
    return replace(run, confirmed=tuple(moved))


def shown(run: Run) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(leaderboard_view(run, None))
    return " ".join(console.export_text().split())


def test_one_device_needs_no_word() -> None:
    records = [trial("full"), trial("lora"), broken("lora", 1)]
    assert arms_by_device(records) == {}
    assert device_note(records) is None


def test_several_devices_are_named_with_the_arms_that_ran_on_each() -> None:
    records = [trial("full"), on(trial("lora"), device="NVIDIA L4"), trial("lora", 1)]
    assert arms_by_device(records) == {"AMD EPYC 7B13": ["full", "lora"], "NVIDIA L4": ["lora"]}
    assert devices_of(records) == ["AMD EPYC 7B13", "NVIDIA L4"]


def test_a_device_on_which_nothing_was_timed_does_not_count() -> None:
    untimed = trial("lora").model_copy(update={"seconds": None, "inference": None})
    assert arms_by_device([trial("full"), on(untimed, device="NVIDIA L4")]) == {}


def test_threads_count_where_trials_that_should_have_the_same_differ() -> None:
    found = arms_by_device([trial("full"), on(trial("lora"), threads=1)])
    assert found == {"AMD EPYC 7B13, 2 threads": ["full"], "AMD EPYC 7B13, 1 thread": ["lora"]}
    again = on(trial("lora", confirms="0" * 16), threads=1)
    assert arms_by_device([trial("full"), again]) == {}


def test_foreign_names_of_devices_are_only_text() -> None:
    note = device_note([trial("full"), on(trial("lora"), device="<b>|[x](y)")])
    assert note is not None
    assert "<b>" not in note
    assert "|" not in note.replace(r"\|", "")


def test_every_format_says_so_above_its_leaderboard() -> None:
    run = mixed_run()
    analysis = analyse(run)
    where = "AMD EPYC 7B13: full; NVIDIA L4: lora"
    board = report(analysis).split("## Leaderboard")[1].split("\n## ")[0]
    assert board.index(SAYS) < board.index("| rank")
    assert where in board
    html = html_report(analysis).split('id="leaderboard"')[1]
    assert html.index(SAYS) < html.index("<table")
    terminal = shown(run)
    assert terminal.index("several devices") < terminal.index("rank")
    assert where in terminal
    assert "there were several devices" in latex_tables(analysis)


def test_a_run_on_one_device_says_nothing() -> None:
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=2, questions=100), trials=2)
    analysis = analyse(run)
    for text in (report(analysis), html_report(analysis), shown(run), latex_tables(analysis)):
        assert "several devices" not in text


def test_only_tables_of_the_mixed_stage_say_so() -> None:
    text = report(analyse(mixed_run()))
    search = text.split("\n## Search")[1].split("\n## ")[0]
    assert SAYS not in search
    assert SAYS in text.split("### On fresh seeds")[1]
    assert SAYS in text.split("## Time and storage")[1].split("\n## ")[0]
    assert SAYS in text.split("## Warnings")[1].split("\n## ")[0]


def test_before_any_test_the_search_s_own_devices_are_told() -> None:
    records = (trial("full"), on(trial("lora"), device="NVIDIA L4"))
    run = Run(study=study(("full", "lora"), planned=1), searched=records)
    assert SAYS in report(analyse(run)).split("## Leaderboard")[1].split("| arm")[0]
    assert "several devices" in shown(run)


def test_the_leaderboard_s_csv_names_each_arm_s_device() -> None:
    text = leaderboard_table(analyse(mixed_run())).to_csv(index=False)
    rows = {row["arm"]: row["device"] for row in csv.DictReader(io.StringIO(text))}
    assert rows == {"full": "AMD EPYC 7B13", "lora": "NVIDIA L4"}


def test_every_format_says_that_backbones_were_compiled_and_what_that_took() -> None:
    run = simulated_run({"full": 0.6, "lora": 0.5}, World(seeds=2, questions=100), trials=2)
    records = (
        r.model_copy(update={"seconds": r.seconds.model_copy(update={"compile": 41.0})})
        for r in run.confirmed
        if r.seconds
    )
    analysis = analyse(replace(run, confirmed=tuple(records)))
    for text in (report(analysis), html_report(analysis), latex_tables(analysis)):
        assert "torch.compile has compiled, which took 41.0 s a trial" in text
    assert "torch.compile has compiled, which took 41.0 s a trial" in shown(analysis.run)
    before = analyse(run)
    for text in (report(before), html_report(before), shown(run), latex_tables(before)):
        assert "torch.compile" not in text
