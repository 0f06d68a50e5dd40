"""All files of a report, and that they agree."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console

from bench.records.study_record import Run
from bench.records.trial_record import Status, TrialRecord
from reports.text.terminal import leaderboard_view
from reports.write import render
from tests.helpers.busy import IMPORTANCES, busy_run
from tests.helpers.records import broken, one_seed_run, realistic, study, trial

ALWAYS = {
    "report.md",
    "report.html",
    "leaderboard.tex",
    "trials.csv",
    "leaderboard.csv",
    "pairwise.csv",
    "pareto.csv",
    "search.csv",
    "search_pareto.csv",
    "pareto.png",
    "pareto.svg",
}
FIGURES = ("learning", "timing", "hypervolume")
TESTED = ("seeds", "pairwise")


def _drawn(*names: str) -> set[str]:
    return {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


@pytest.mark.parametrize(
    ("records", "figures"),
    [
        ([], ()),
        ([broken("lora", 0)], ()),
        ([trial("lora", 0)], FIGURES),
        (realistic(2), FIGURES + TESTED),
    ],
)
def test_every_file_is_rendered_however_many_trials_are_completed(
    records: list[TrialRecord], figures: tuple[str, ...]
) -> None:
    files = render(one_seed_run(study(), records), {})
    assert set(files) == ALWAYS | _drawn(*figures)
    assert all(files.values())


def test_rendering_twice_gives_the_same_bytes() -> None:
    first, second = (render(one_seed_run(study(), realistic(2)), {}) for _ in range(2))
    assert first == second


def test_every_format_shows_the_same_leaderboard() -> None:
    run = busy_run(4, arms=("full", "adapter", "lora", "linear"))
    files = {name: content.decode() for name, content in render(run, IMPORTANCES).items()
             if name.endswith((".md", ".csv", ".tex"))}  # fmt: skip
    boards = [
        _from_markdown(files["report.md"]),
        _from_csv(files["leaderboard.csv"]),
        _from_latex(files["leaderboard.tex"]),
    ]
    assert boards[0] == boards[1] == boards[2]
    assert [(row[1], row[-1]) for row in boards[0]].count(("adapter", "4/5 1")) == 1
    ranks, arms, means, lows, highs, better, seeds = zip(*boards[0], strict=True)
    halves = [(float(high) - float(low)) / 2 for low, high in zip(lows, highs, strict=True)]
    rank, arm, mean, half, lead, done = zip(*_from_terminal(run), strict=True)
    assert (rank, arm, mean, lead, done) == (ranks, arms, means, better, seeds)
    assert [float(value) for value in half] == pytest.approx(halves, abs=1.1e-3)


def _from_markdown(text: str) -> list[tuple[str, ...]]:
    section = text.split("## Leaderboard")[1].split("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[0].isdigit():
            scores = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", cells[4])
            assert scores
            better, seeds = cells[6].replace("\\", ""), _seeds(cells[5])
            found.append((cells[0], cells[1], *scores.groups(), better, seeds))
    return found


def _seeds(text: str) -> str:
    """``4/5, 1 lost`` as ``4/5 1``."""
    return text.replace(", ", " ").replace(" lost", "")


def _from_csv(text: str) -> list[tuple[str, ...]]:
    return [
        (
            row["rank"],
            row["arm"],
            *(f"{float(row[name]):.3f}" for name in ("test_accuracy", "test_low", "test_high")),
            _probability(row["better_than_next"]),
            f"{row['seeds_done']}/{row['seeds_planned']}"
            + (f" {row['seeds_lost']}" if row["seeds_lost"] != "0" else ""),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def _probability(cell: str) -> str:
    if not cell:
        return ""
    return ">0.99" if float(cell) > 0.995 else f"{float(cell):.2f}"


def _from_latex(text: str) -> list[tuple[str, ...]]:
    board = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    found = []
    for line in board.splitlines():
        cells = [cell.strip() for cell in line.split("&")]
        if cells[0].isdigit():
            scores = re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", cells[2])
            assert scores
            better = cells[4].replace(r"\textgreater{}", ">").replace(".", "0.")
            found.append(
                (cells[0], cells[1], *(f"0{s}" for s in scores.groups()), better, _seeds(cells[3]))
            )
    return found


def _from_terminal(run: Run) -> list[tuple[str, ...]]:
    console = Console(file=io.StringIO(), width=100, legacy_windows=False)
    console.print(leaderboard_view(run))
    output = console.file
    assert isinstance(output, io.StringIO)
    row = re.compile(r" *(\d+) +(\S+) .*? (\d/\d(?: \d✗)?) +(\S+) ±(\S+) +(>?0\.\d\d )? +0\.\d{3} ")
    found = []
    for line in output.getvalue().splitlines():
        if cells := row.match(line):
            rank, arm, seeds, mean, half, better = cells.groups(default="")
            found.append((rank, arm, mean, half, better.strip(), seeds.replace("✗", "")))
    return found


def test_no_file_holds_a_path_of_a_machine() -> None:
    records = [trial("lora", 0, test=300), broken("lora", 1, Status.FAILED, "in /home/ann/x.py")]
    run = one_seed_run(study(("lora",), command="paretune sweep --out /srv/runs"), records)
    for name, content in render(run, {}).items():
        assert b"/home" not in content, name
        assert b"/srv" not in content, name
