"""The charts: Vega-Lite takes them, and they show what the analysis says."""

from __future__ import annotations

from typing import Any

import pytest
import vl_convert

from bench.records.study_record import BaselineScore, Run
from reports.analysis import Analysis, analyse
from reports.charts.front import domains, entry_rows, front_rows, pareto
from reports.charts.gallery import page_charts
from reports.charts.vega import Chart, arm_names, by_arm, faintness
from reports.page.parts import looks
from tests.helpers.busy import IMPORTANCES, busy_run
from tests.helpers.records import study, trial


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(busy_run(12, arms=("full", "adapter", "lora", "linear")), IMPORTANCES)


def _compiled(chart: Chart, **data: list[dict[str, Any]]) -> dict[str, Any]:
    empty: dict[str, list[dict[str, Any]]] = {source: [] for source in chart.sources}
    spec = {**chart.spec, "width": 600, "datasets": {**empty, **data}}
    compiled: dict[str, Any] = vl_convert.vegalite_to_vega(spec)
    return compiled


def test_vega_lite_compiles_every_chart(analysis: Analysis) -> None:
    for name, chart in page_charts(analysis, 12).items():
        marks = _compiled(chart)["marks"]
        assert len(marks) == len(chart.spec["layer"]), name


def test_what_the_page_asks_of_the_compiled_pareto_chart_is_there(analysis: Analysis) -> None:
    compiled = _compiled(pareto(analysis))
    marks = {mark["name"] for mark in compiled["marks"]}
    signals = {signal["name"] for signal in compiled["signals"]}
    assert {"entries_marks", "front_marks", "note_marks", "trials_marks"} <= marks
    assert {"isolated", "search", "zoom_parameters", "zoom_accuracy"} <= signals


def test_the_axes_hold_every_interval_and_guessing(analysis: Analysis) -> None:
    (left, right), (low, high) = domains(analysis)
    for entry in analysis.entries:
        assert left < entry.confirmed.trained_parameters < right
        assert low < entry.accuracy.low < entry.accuracy.high < high
    assert low < analysis.run.study.chance < high


def test_accuracy_has_no_axis_beyond_0_and_1() -> None:
    nothing = BaselineScore(name="random", said="guessing", scores={"accuracy": 0.0})
    run = Run.of(study(("full",), planned=1, contexts={"full": "c"}, baselines=(nothing,)), [
        trial("full", right=500, context="c")], None)  # fmt: skip
    assert domains(analyse(run))[1] == (0.0, 1.0)


def test_the_front_is_the_untouched_means_and_runs_to_the_edge(analysis: Analysis) -> None:
    rows = front_rows(analysis)
    wanted = sorted(
        (entry.confirmed.trained_parameters, entry.accuracy.value)
        for entry in analysis.entries
        if entry.on_front
    )
    drawn = [(row["parameters"], row["accuracy"]) for row in rows]
    assert [x for x, _ in drawn[:-1]] == [x for x, _ in wanted]
    assert [y for _, y in drawn[:-1]] == pytest.approx([y for _, y in wanted], abs=1e-4)
    assert drawn[-1] == (domains(analysis)[0][1], drawn[-2][1])


def test_before_any_test_score_the_front_is_that_of_the_search() -> None:
    run = busy_run(6, arms=("full", "lora"))
    searched = Run.of(run.study, run.searched, None)
    rows = front_rows(analyse(searched))
    best = max(r.accuracy.validation for r in run.searched if r.accuracy)
    assert rows[-1]["accuracy"] == best


def test_arms_differ_in_colour_or_sign_and_keep_theirs_in_every_chart() -> None:
    arms = tuple(f"arm-{n}" for n in range(77))
    run = Run.of(study(arms), [], None)
    assert len({(look.light, look.shape) for look in looks(run)}) == 77
    assert by_arm(run, "color")["color"]["scale"]["domain"] == list(arm_names(run))


def test_many_marks_are_fainter_than_few_but_never_gone() -> None:
    strengths = [faintness(count, 100, 0.6) for count in (0, 1, 100, 400, 10_000, 10**9)]
    assert strengths == [0.6, 0.6, 0.6, 0.3, 0.08, 0.08]


def test_before_any_test_score_the_best_trial_of_each_arm_is_named() -> None:
    run = busy_run(6, arms=("full", "lora"))
    rows = entry_rows(analyse(Run.of(run.study, run.searched, None)))
    best = {
        arm: max(r.accuracy.validation for r in run.searched if r.arm == arm and r.accuracy)
        for arm in ("full", "lora")
    }
    assert {row["name"]: row["accuracy"] for row in rows} == best
