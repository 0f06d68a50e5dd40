"""The leaderboard in a terminal of 100 columns."""

from __future__ import annotations

import io
import re

from rich.console import Console

from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from reports.analysis import analyse
from reports.text.terminal import leaderboard_view
from tests.helpers.records import broken, one_seed_run, realistic, study, trial
from tests.helpers.simulate import World, simulated_run


def _shown(
    asked: StudyRecord, records: list[TrialRecord], sort: str | None = None, *, color: bool = False
) -> str:
    return _drawn(one_seed_run(asked, records), sort, color=color)


def _drawn(run: Run, sort: str | None = None, *, color: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=100,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    console.print(leaderboard_view(run, sort))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def _row(text: str, arm: str) -> str:
    return next(line for line in text.splitlines() if f" {arm}" in f" {line}")


def test_a_row_shows_knobs_counts_accuracies_and_costs() -> None:
    spaces = {"lora": {"learning_rate": "", "rank": ""}}
    asked = study(("lora",), spaces=spaces)
    row = _row(_shown(asked, [trial(), broken("lora", 1)]), "lora")
    assert " ".join(row.split()) == ("lora rank=8 lr=0.0001 2/4 1✗ 0.260 0.600 74.1k 3m18s 4.20")
    row = _row(_shown(asked, [trial(test=300), broken("lora", 1)]), "lora")
    assert " ".join(row.split()) == (
        "1 lora rank=8 lr=0.0001 1/1 0.600 ±.043 0.260 74.1k 3m18s 4.20"
    )


def test_tested_arms_have_rank_seeds_interval_and_lead_and_lost_seeds_are_counted() -> None:
    run = simulated_run({"full": 0.7, "lora": 0.4}, World(seeds=3, questions=200), trials=2)
    *others, last = run.confirmed
    gone = dict.fromkeys(("accuracy", "parameters", "seconds", "inference", "test"))
    lost = last.model_copy(update={**gone, "status": Status.DIVERGED, "reason": "nan"})
    changed = Run(
        study=run.study, searched=run.searched, confirmed=(*others, lost), freeze=run.freeze
    )
    first, second = analyse(changed).leaders
    text = _drawn(changed)
    assert _row(text, "full").split()[:6] == [
        "1",
        "full",
        f"lr={run.searched[0].learning_rate:.3g}",
        "3/3",
        f"{first.accuracy.value:.3f}",
        f"±{(first.accuracy.high - first.accuracy.low) / 2:.3f}".replace("0.", "."),
    ]
    assert _row(text, "lora").split()[0] == "2"
    assert "2/3 1✗" in _row(text, "lora")
    assert ">0.99" in _row(text, "full")
    assert second.better_than_next is None
    assert "over seeds and questions" in text
    assert "✗: lost" in text


def test_an_arm_that_was_not_tested_says_why_below_the_others() -> None:
    asked = study(("lora", "full"))
    text = _shown(asked, [trial("full", test=300), broken("lora", 0, reason="too small")])
    assert text.index("full") < text.index("lora")
    assert "1 failed, 3 missing: too small" in _row(text, "lora")


def test_the_searchs_standing_is_shown_on_request_and_never_beside_test_scores() -> None:
    asked, records = study(("full", "lora")), [trial("full", test=300), trial("lora", test=290)]
    assert "valid." not in _shown(asked, records)
    text = _shown(asked, records, "validation_accuracy")
    assert "valid." in text
    assert "±" not in text
    assert "validation is optimistic" in " ".join(text.split())


def test_a_tie_over_all_arms_makes_no_accuracy_bold() -> None:
    records = [trial("full", test=300), trial("lora", test=299)]
    bold = re.findall(
        r"\x1b\[1;32m *(\S+?)\x1b", _shown(study(("full", "lora")), records, color=True)
    )
    assert bold == ["74.1k"]
    records = [trial("full", test=300), trial("lora", test=299), trial("linear", test=100)]
    text = _shown(study(("full", "lora", "linear")), records, color=True)
    assert re.findall(r"\x1b\[1;32m *(\S+?)\x1b", text) == ["0.600", "0.598", "385"]


def test_the_same_records_are_analysed_once_however_often_they_are_drawn() -> None:
    run = simulated_run({"full": 0.7, "lora": 0.4}, World(seeds=3, questions=200), trials=2)

    def again() -> Run:
        return Run(
            study=run.study,
            searched=tuple(run.searched),
            confirmed=tuple(run.confirmed),
            freeze=run.freeze,
        )

    assert leaderboard_view(again()) is leaderboard_view(again())
    fewer = Run(
        study=run.study, searched=run.searched, confirmed=run.confirmed[:-1], freeze=run.freeze
    )
    assert "2/3" in _drawn(fewer)
    assert "2/3" not in _drawn(again())


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
    assert "0.600 ±.043           0.260  294.9k  3m18s  4.20" in _row(text, "an-arm-of")
    assert len(text.splitlines()) == 7
    assert max(map(len, text.splitlines())) <= 100


def test_the_caption_flags_times_on_a_shared_device_and_says_what_before_is() -> None:
    for test in (300, None):
        apart, shared = (
            " ".join(_shown(study(("lora",)), [one]).split())
            for one in (trial(test=test), trial(test=test, shared=True))
        )
        assert "times not comparable: device shared" in shared
        assert "not comparable" not in apart
        assert ("before: on validation, untrained" in apart) == (test is not None)


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
    arms = [line.split()[1] for line in text.splitlines()[2:9]]
    assert (arms[0], arms[-1]) == ("linear", "full")
    assert "by trained parameters" in text


def test_a_study_that_has_just_begun_shows_all_its_arms() -> None:
    text = _shown(study(), [])
    assert text.count("0/4") == 7
    assert "no completed trial yet" in text
