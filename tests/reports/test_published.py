"""The published reports are what their ledgers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.storage.ledger import Ledger
from bench.tune.report import importances
from reports.write import render

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
RUNS = sorted(path.parent for path in PUBLISHED.glob("*/study.json"))
FIGURES = {".png", ".svg"}


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_published_report_is_made_anew_from_its_ledger_byte_for_byte(folder: Path) -> None:
    run = Ledger(folder).run()
    made = render(run, importances(run))
    there = {path.name: path for path in (folder / "report").iterdir()}

    assert made.keys() == there.keys()
    texts = {name for name in made if Path(name).suffix not in FIGURES}
    assert {"report.md", "report.html", "leaderboard.csv", "leaderboard.tex"} <= texts
    assert [name for name in sorted(texts) if made[name] != there[name].read_bytes()] == []


def test_something_is_published() -> None:
    assert [folder.name for folder in RUNS] == ["openbookqa"]
