"""What the page draws without its script."""

from __future__ import annotations

import math

import pytest

from reports.analysis import Analysis, analyse
from reports.page.parts import matrix, strips
from tests.helpers.busy import IMPORTANCES, busy_run


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(busy_run(12, arms=("full", "adapter", "lora", "linear")), IMPORTANCES)


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
