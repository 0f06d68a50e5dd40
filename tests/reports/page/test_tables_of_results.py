"""The tables of results: every figure that a chart shows can be read, sorted and printed."""

from __future__ import annotations

import statistics
from itertools import product

import pytest

from bench.records.study_record import Candidate, Freeze, Run
from bench.records.trial_record import Latency, TrialRecord
from reports import show
from reports.analysis import Analysis, analyse
from reports.page.html import html_report
from reports.page.tables_of_results import costs
from reports.results import front, pairs, search_front
from reports.table import Cell, Table
from tests.helpers.busy import busy_analysis
from tests.helpers.records import study, trial


def _analysed(*records: TrialRecord) -> Analysis:
    """Of a search whose trials are all candidates, an arm's first one being its chosen one."""
    arms = tuple(dict.fromkeys(record.arm for record in records))
    asked = study(arms, planned=len(records), contexts=dict.fromkeys(arms, "abcd000011112222"))
    candidates = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=r.number, is_best=r.number == 0,
                  on_front=True)
        for r in records
    )  # fmt: skip
    return analyse(Run.of(asked, records, Freeze(searched="0", seeds=(), candidates=candidates)))


def _column(table: Table, heading: str) -> list[object]:
    place = table.headings.index(heading)
    cells = [row[place] for row in table.rows]
    return [cell.sort if isinstance(cell, Cell) else cell for cell in cells]


def test_candidates_that_lead_no_arm_are_in_the_table_of_the_front() -> None:
    records = [
        trial("lora", 0, right=320, test=310),
        trial("lora", 1, right=300, test=305, parameters=2_000),
        trial("full", 0, right=330, test=250),
    ]
    table = front(_analysed(*records))
    assert [row[0] for row in table.rows] == ["lora-001", "lora-000", "full-000"]
    assert _column(table, "test accuracy") == [0.61, 0.62, 0.5]
    assert _column(table, "trained parameters") == [2_000, 74_113, 22_713_601]
    assert _column(table, "95 % interval")[2] == "0.456 to 0.544"  # Wilson's of 250 of 500
    assert _column(table, "place") == ["front", "front", "dominated"]
    assert table.sortable


def test_the_table_of_the_front_has_all_that_pointing_at_a_sign_shows() -> None:
    analysis = busy_analysis()
    table = front(analysis)
    assert len(table.rows) == len(analysis.entries)
    wanted = [entry.front_probability for entry in analysis.entries]
    assert _column(table, "probability of front") == wanted
    latencies = [entry.cost("inference_ms_p50") for entry in analysis.entries]
    assert _column(table, "latency") == latencies
    seeds = dict(zip(_column(table, "candidate"), _column(table, "seeds"), strict=True))
    assert sorted(seeds.values(), key=str) == ["4 of 5", "5 of 5", "5 of 5"]


def test_the_front_of_the_search_has_its_best_trial_and_none_that_is_dominated() -> None:
    records = [trial("lora", 0, right=320), trial("full", 0, right=310),
               trial("linear", 0, right=150)]  # fmt: skip
    table = search_front(_analysed(*records).run)
    assert [row[0] for row in table.rows] == ["linear-000", "lora-000"]
    assert _column(table, "validation accuracy") == [0.3, 0.64]


def test_every_pair_has_its_test_and_what_it_could_have_found() -> None:
    analysis = busy_analysis()
    table = pairs(analysis)
    assert len(table.rows) == 3
    assert _column(table, "McNemar") == ["{} of {}".format(*p.mcnemar) for p in analysis.pairs]
    assert _column(table, "detectable, points") == [pair.detectable for pair in analysis.pairs]
    assert _column(table, "p, Holm") == [pair.p_holm for pair in analysis.pairs]


def test_costs_have_median_spread_and_tail_of_both_forms_at_both_batch_sizes() -> None:
    values = iter(range(1, 13))
    latencies = [
        Latency(batch_size=size, repeats=9, p50=next(values), iqr=next(values), p95=next(values))
        for size in (1, 1, 32, 32)
    ]
    record = trial("lora", test=300)
    assert record.inference is not None
    names = ("single", "undeployed", "batched", "undeployed_batched")
    inference = record.inference.model_copy(update=dict(zip(names, latencies, strict=True)))
    table = costs(_analysed(record.model_copy(update={"inference": inference})))
    assert [row[:2] for row in table.rows] == [("lora", "deployed"), ("lora", "before deployment")]
    found = [
        _column(table, f"{latency}, {said}")
        for latency, said in product(
            ("latency", "latency in batches"),
            ("median", "interquartile range", "95th percentile"),
        )
    ]
    assert found == [[1, 4], [2, 5], [3, 6], [7, 10], [8, 11], [9, 12]]


def test_costs_are_medians_over_seeds_with_their_range() -> None:
    analysis = busy_analysis()
    table = costs(analysis)
    entry = next(entry for entry in analysis.leaders if entry.arm == "adapter")
    seconds = [run.seconds.train for run in entry.confirmed.runs if run.seconds]
    row = next(row for row in table.rows if row[0] == "adapter")
    cell = row[table.headings.index("training time")]
    assert isinstance(cell, Cell)
    assert cell.sort == statistics.median(seconds)
    ends = [show.duration(end) for end in (min(seconds), max(seconds))]
    assert cell.within == " to ".join(ends)


def test_what_nobody_measured_has_no_column() -> None:
    nobody = trial("lora", test=300).model_copy(update={"inference": None})
    assert not [name for name in costs(_analysed(nobody)).headings if "latency" in name]


def test_what_the_tables_of_results_hold_stands_in_the_page() -> None:
    text = html_report(busy_analysis())
    for name, table in {
        "front": front(busy_analysis()),
        "search-front": search_front(busy_analysis().run),
        "differences": pairs(busy_analysis()),
        "costs": costs(busy_analysis()),
    }.items():
        body = text.split(f'id="table-{name}"')[1].split("</table>")[0].split("<tbody>")[1]
        assert body.count("</tr>") == len(table.rows)
    assert "the leaderboard has the same figures" not in text


@pytest.mark.parametrize("tests", ["nobody", "not the choice"])
def test_the_page_says_who_has_been_tested(tests: str) -> None:
    other = trial("lora", 1, right=300, test=None if tests == "nobody" else 290)
    text = html_report(_analysed(trial("lora", 0, right=320), other))
    assert "No arm’s choice has answered the test questions yet" in text
    assert ("Nothing has answered" in text) == (tests == "nobody")
    assert ('id="table-front"' in text) == (tests != "nobody")
