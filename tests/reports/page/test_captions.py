"""What the page says beside its charts and tables: no more than they hold, and no less."""

from __future__ import annotations

import pytest

from bench.records.study_record import Run
from reports.analysis import analyse
from reports.page.html import html_report
from reports.page.tables import REASONS, failures
from tests.helpers.busy import busy_analysis, busy_run
from tests.helpers.records import broken, one_seed_run, study, trial


def _section(text: str, name: str) -> str:
    return text.split(f'<section id="{name}"')[1].split("</section>")[0]


def test_reasons_that_are_left_out_are_counted() -> None:
    records = [broken("lora", n, reason=f"reason {n}") for n in range(REASONS + 3)]
    table = failures(records)
    assert (len(table.rows), table.left_out) == (REASONS, 3)
    named = {record.fingerprint: record.model_copy(update={"context": "c"}) for record in records}
    asked = study(("lora",), planned=len(named), contexts={"lora": "c"})
    text = html_report(analyse(Run.of(asked, named.values(), None)))
    assert f"the first {REASONS} rows; 3 more are left out" in text


@pytest.mark.parametrize("shared", [True, False])
def test_shared_devices_are_told_beside_everything_with_timings_of_the_search(
    shared: bool,
) -> None:
    asked = study(("lora",), planned=2, contexts={"lora": "c"})
    records = [trial(number=n, context="c", shared=shared and n == 0) for n in range(2)]
    text = html_report(analyse(Run.of(asked, records, None)))
    for section in ("pareto", "leaderboard", "progress", "trials"):
        told = "device shared</strong> during 1 of 2 trials" in _section(text, section)
        assert told == shared, section


def test_timings_of_fresh_seeds_are_not_blamed_for_those_of_the_search() -> None:
    run = busy_run(2, arms=("full",))
    spans = {r.fingerprint: r.seconds.model_copy(update={"device_shared": True})
             for r in run.searched if r.seconds}  # fmt: skip
    records = [
        r.model_copy(update={"seconds": spans.get(r.fingerprint, r.seconds)})
        for r in (*run.searched, *run.confirmed)
    ]
    text = html_report(analyse(Run.of(run.study, records, run.freeze)))
    assert _section(text, "pareto").count("device shared") == 1  # of the chart, not of the table
    blamed = {
        section: "device shared" in _section(text, section)
        for section in ("leaderboard", "costs", "progress", "trials")
    }
    assert blamed == {"leaderboard": False, "costs": False, "progress": True, "trials": True}


def test_captions_promise_no_more_than_the_figures_hold() -> None:
    text = html_report(busy_analysis())
    assert "likely" not in text.split("</main>")[0]
    assert "has not been searched enough" not in text
    assert "a knob matters; where they spread" not in text
    assert "they always add up to 1, also where nothing matters" in text
    assert "trials of the search (validation, optimistic)" in text


def test_one_seed_has_intervals_over_questions_only() -> None:
    asked = study(("lora", "full"), planned=1, contexts={"lora": "c", "full": "c"})
    records = [trial(arm, context="c", test=300) for arm in ("lora", "full")]
    text = html_report(analyse(one_seed_run(asked, records)))
    for name in ("leaderboard", "front", "pairs", "differences"):
        caption = text.split(f'id="caption-{name}"')[1].split("</p>")[0]
        assert "over questions only" in caption, name
