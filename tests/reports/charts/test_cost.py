"""What the charts of costs show."""

from __future__ import annotations

import statistics

import pytest

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports.analysis import Analysis, analyse
from reports.charts.cost import DEPLOYED, PANELS, UNDEPLOYED, cost, cost_rows, leaders
from tests.helpers.busy import IMPORTANCES, busy_run


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(busy_run(12, arms=("full", "adapter", "lora", "linear")), IMPORTANCES)


def test_a_bar_is_the_median_over_seeds_and_its_line_their_range(analysis: Analysis) -> None:
    seconds = [
        record.seconds.train
        for record in analysis.run.confirmed
        if record.arm == "adapter" and record.seconds
    ]
    rows = cost_rows(PANELS[0], leaders(analysis))
    assert {row["panel"] for row in rows} == {"train_seconds"}
    row = next(row for row in rows if row["arm"] == "adapter")
    assert len(seconds) == 4
    assert row["median"] == statistics.median(seconds)
    assert (row["low"], row["high"]) == (min(seconds), max(seconds))


def test_only_what_changes_by_deployment_has_a_bar_for_before(analysis: Analysis) -> None:
    panel = next(panel for panel in PANELS if UNDEPLOYED in panel.metrics)
    found = cost_rows(panel, leaders(analysis))
    assert {row["arm"] for row in found if row["form"] == UNDEPLOYED} == {"lora"}
    assert len([row for row in found if row["form"] == DEPLOYED]) == 4
    pale = [layer for layer in cost(analysis, panel).spec["layer"] if UNDEPLOYED in str(layer)]
    assert len(pale) == 1


def test_a_figure_nobody_measured_has_no_row() -> None:
    run = busy_run(6, arms=("full", "lora"))
    without = [_unmeasured(record) for record in (*run.searched, *run.confirmed)]
    analysis = analyse(Run.of(run.study, without, run.freeze))
    drawn = {panel.name for panel in PANELS if cost_rows(panel, leaders(analysis))}
    assert "train_seconds" in drawn
    assert drawn.isdisjoint({"peak_bytes", "inference_ms"})


def _unmeasured(record: TrialRecord) -> TrialRecord:
    return record.model_copy(update={"peak_bytes": None, "inference": None})
