"""The charts: Vega-Lite takes them, and they show what the analysis says."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import vl_convert

from bench.records.study_record import BaselineScore, Run
from bench.records.trial_record import TrialRecord
from reports.analysis import Analysis, analyse
from reports.page.chart_parts import Chart, arm_names, by_arm, faintness
from reports.page.charts import charts
from reports.page.charts_of_cost import DEPLOYED, PANELS, UNDEPLOYED, cost, cost_rows, spreads
from reports.page.charts_of_front import domains, pareto
from reports.page.data import entry_row, front_rows
from reports.page.parts import looks, matrix, strips
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
    for name, chart in charts(analysis, 12).items():
        marks = _compiled(chart)["marks"]
        assert len(marks) == len(chart.spec["layer"]), name


def test_what_the_page_asks_of_the_compiled_pareto_chart_is_there(analysis: Analysis) -> None:
    compiled = _compiled(pareto(analysis))
    marks = {mark["name"] for mark in compiled["marks"]}
    signals = {signal["name"] for signal in compiled["signals"]}
    assert {"entries_marks", "front_marks", "note_marks", "trials_marks"} <= marks
    assert {"isolated", "search", "zoom_parameters", "zoom_accuracy"} <= signals


def test_names_of_arms_find_their_place_beside_the_points(analysis: Analysis) -> None:
    chart = pareto(analysis)
    rows = [entry_row(entry) for entry in analysis.entries]
    compiled = _compiled(chart, entries=rows, front=front_rows(analysis))
    svg = vl_convert.vega_to_svg({**compiled, "marks": [*compiled["marks"], *chart.marks]})
    assert all(f">{arm}</text>" in svg for arm in ("full", "adapter", "lora", "linear"))


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


def test_a_bar_is_the_median_over_seeds_and_its_line_their_range(analysis: Analysis) -> None:
    seconds = [
        record.seconds.train
        for record in analysis.run.confirmed
        if record.arm == "adapter" and record.seconds
    ]
    rows = [r for r in cost_rows(analysis) if r["panel"] == "train_seconds"]
    row = next(row for row in rows if row["arm"] == "adapter")
    assert len(seconds) == 4
    assert row["median"] == statistics.median(seconds)
    assert (row["low"], row["high"]) == (min(seconds), max(seconds))


def test_only_what_changes_by_deployment_has_a_bar_for_before(analysis: Analysis) -> None:
    panel = next(panel for panel in PANELS if UNDEPLOYED in panel.metrics)
    found = spreads(panel, analysis.leaders)
    assert {spread.arm for spread in found if spread.form == UNDEPLOYED} == {"lora"}
    assert len([spread for spread in found if spread.form == DEPLOYED]) == 4
    pale = [layer for layer in cost(analysis, panel).spec["layer"] if UNDEPLOYED in str(layer)]
    assert len(pale) == 1


def test_a_figure_nobody_measured_has_no_row() -> None:
    run = busy_run(6, arms=("full", "lora"))
    without = [_unmeasured(record) for record in (*run.searched, *run.confirmed)]
    analysis = analyse(Run.of(run.study, without, run.freeze))
    assert {row["panel"] for row in cost_rows(analysis)}.isdisjoint({"peak_bytes", "inference_ms"})


def _unmeasured(record: TrialRecord) -> TrialRecord:
    return record.model_copy(update={"peak_bytes": None, "inference": None})


def test_a_cell_of_the_matrix_mirrors_the_one_across(analysis: Analysis) -> None:
    rows = matrix(analysis)
    for i, (_, row) in enumerate(rows):
        assert row[i] is None
        for j, cell in enumerate(row):
            across = rows[j][1][i]
            if cell is None or across is None:
                continue
            assert float(cell.points) == -float(across.points)
            assert (float(cell.low), float(cell.high)) == (
                -float(across.high),
                -float(across.low),
            )
            assert cell.p == across.p
            assert {cell.sign, across.sign} in ({"better", "worse"}, {"level"})


def test_the_strongest_cell_is_the_largest_difference(analysis: Analysis) -> None:
    cells = [cell for _, row in matrix(analysis) for cell in row if cell]
    strongest = max(cells, key=lambda cell: cell.strength)
    assert strongest.strength == 100
    assert math.isclose(
        abs(float(strongest.points)),
        100 * max(abs(pair.difference.value) for pair in analysis.pairs),
        abs_tol=0.05,
    )


def test_seeds_lie_on_one_scale_for_all_arms(analysis: Analysis) -> None:
    found = strips(analysis.leaders)
    for entry in analysis.leaders:
        strip = found.by_arm[entry.arm]
        width = found.high - found.low
        back = [found.low + width * dot / 100 for dot in strip.dots]
        assert back == pytest.approx(list(entry.seeds.values), abs=width / 1000)
        assert 0 <= strip.low <= strip.mean <= strip.high <= 100
