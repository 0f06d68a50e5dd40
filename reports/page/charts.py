"""The charts of the page as Vega-Lite specifications, by name."""

from __future__ import annotations

from reports.analysis import Analysis
from reports.page.chart_parts import Chart
from reports.page.charts_of_cost import PANELS, cost
from reports.page.charts_of_front import pareto
from reports.page.charts_of_search import curves, expected, hypervolume, knobs


def charts(analysis: Analysis, lines: int) -> dict[str, Chart]:
    """All charts by name; those without data are left out.

    Args:
        analysis: the run.
        lines: most trials of an arm that are drawn as lines.
    """
    run = analysis.run
    found = {"pareto": pareto(analysis), "curves": curves(run, lines), "knobs": knobs(lines)}
    if analysis.hypervolume_by_trial:
        found["hypervolume"] = hypervolume(run)
    if analysis.expected_best:
        found["expected"] = expected(run)
    costs = {panel.name: cost(analysis, panel) for panel in PANELS}
    return found | {f"cost-{name}": chart for name, chart in costs.items()}
