"""All files of a report."""

from __future__ import annotations

import pytest

from bench.record import TrialRecord
from reports.write import render
from tests.reports.records import broken, realistic, study

FILES = {"report.md", "trials.csv", "leaderboard.csv", "pareto.csv", "pareto.png", "pareto.svg"}


@pytest.mark.parametrize("records", [[], [broken("lora", 0)], realistic(2)])
def test_every_file_is_rendered_however_many_trials_are_completed(
    records: list[TrialRecord],
) -> None:
    files = render(study(), records)
    assert set(files) == FILES
    assert all(files.values())


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert render(study(), iter(realistic(2))) == render(study(), realistic(2))
