"""The leaderboard in a terminal of 100 columns."""

from __future__ import annotations

import io
import re

from rich.console import Console

from bench.record import Status, StudyRecord, TrialRecord
from reports.terminal import leaderboard_view
from tests.reports.records import broken, realistic, study, trial


def _shown(
    asked: StudyRecord, records: list[TrialRecord], sort: str | None = None, *, color: bool = False
) -> str:
    console = Console(
        file=io.StringIO(),
        width=100,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    console.print(leaderboard_view(asked, records, sort))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def _row(text: str, arm: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(arm))


def test_a_row_shows_knobs_counts_accuracies_and_costs() -> None:
    spaces = {"lora": {"learning_rate": "", "rank": ""}}
    asked = study(("lora",), spaces=spaces)
    row = _row(_shown(asked, [trial(test=300), broken("lora", 1)]), "lora")
    assert " ".join(row.split()) == (
        "lora rank=8 lr=0.0001 2/4 1✗ 0.260 0.600 0.600 ±.043 74.1k 3m18s 4.20"
    )


def test_trials_stopped_early_have_a_sign_that_is_explained() -> None:
    early = trial(number=1, right=400, status=Status.PRUNED)
    text = _shown(study(("lora",)), [trial(), early])
    assert "2/4 1↓" in _row(text, "lora")
    assert "0.600" in _row(text, "lora")
    assert "↓: stopped early" in text


def test_figures_survive_long_knobs_in_a_hundred_columns() -> None:
    knobs = {f"a_knob_with_a_long_name_{n}": 0.123456 for n in range(9)}
    asked = study(("an-arm-of-sixteen", "b"), planned=100, spaces={})
    records = [trial("an-arm-of-sixteen", 7, test=300, knobs=knobs, parameters=294_912)]
    text = _shown(asked, [*records, broken("b", 0, reason="word " * 99)])
    assert "±.043  294.9k  3m18s  4.20" in _row(text, "an-arm-of")
    assert len(text.splitlines()) == 6
    assert max(map(len, text.splitlines())) <= 100


def test_markup_and_escape_sequences_in_foreign_text_are_only_text() -> None:
    records = [broken("lora", 0, reason="[/red]x \x1b[2J\x1b]0;t\x07 [bold]y")]
    text = _shown(study(("lora",)), records)
    assert "[/red]x" in text
    assert "\x1b" not in text
    named = "[/red]x"
    assert named in _shown(study((named,)), [trial(named, strategy="lora")])


def test_only_the_best_figure_of_a_column_is_bold() -> None:
    records = [trial("full", right=300), trial("lora", right=290)]
    text = _shown(study(("full", "lora")), records, color=True)
    bold = re.findall(r"\x1b\[1;32m *(\S+?)\x1b", text)
    assert bold == ["0.600", "74.1k"]  # the others are equal: none is best


def test_the_order_follows_the_metric_that_was_asked_for() -> None:
    text = _shown(study(), realistic(), "trained_parameters")
    arms = [line.split()[0] for line in text.splitlines()[2:9]]
    assert (arms[0], arms[-1]) == ("linear", "full")
    assert "by trained parameters" in text


def test_a_study_that_has_just_begun_shows_all_its_arms() -> None:
    text = _shown(study(), [])
    assert text.count("0/4") == 7
    assert "no completed trial yet" in text
