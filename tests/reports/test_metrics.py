"""The table of metrics, and numbers as text."""

from __future__ import annotations

import pytest

from bench.errors import StudyError
from reports import show
from reports.metrics import METRICS, metric
from tests.reports.records import broken, trial


def test_every_metric_but_the_undeployed_latency_can_be_read_from_a_full_record() -> None:
    record = trial(test=300)
    unread = [name for name, one in METRICS.items() if one.read(record) is None]
    assert unread == ["inference_ms_p50_undeployed"]


def test_no_metric_invents_a_figure_for_a_trial_without_result() -> None:
    assert {one.read(broken("lora", 0)) for one in METRICS.values()} == {None}


def test_better_values_rank_first_in_either_direction() -> None:
    assert sorted((0.2, 0.6), key=metric("test_accuracy").rank) == [0.6, 0.2]
    assert sorted((9.0, 3.0), key=metric("train_seconds").rank) == [3.0, 9.0]


def test_an_unknown_metric_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(StudyError, match=r"one of .*validation_accuracy.*got 'speed'"):
        metric("speed")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (385, "385"),
        (999, "999"),
        (1_000, "1.0k"),
        (294_912, "294.9k"),
        (999_949, "999.9k"),
        (999_960, "1.00M"),
        (22_713_601, "22.71M"),
        (109_482_240, "109.5M"),
    ],
)
def test_counts_are_shortened_without_four_digits_before_the_point(value: int, text: str) -> None:
    assert show.short_count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text", "short"),
    [
        (0.35, "0.35 s", "0.3s"),
        (59.96, "1 m 00.0 s", "1m00s"),
        (197.5, "3 m 17.5 s", "3m18s"),
        (3599.97, "1 h 00 m", "1h00m"),
        (7500, "2 h 05 m", "2h05m"),
    ],
)
def test_durations_never_show_sixty_seconds(seconds: float, text: str, short: str) -> None:
    assert show.duration(seconds) == text
    assert show.short_duration(seconds) == short


def test_units_decide_how_a_figure_is_written() -> None:
    written = {
        "test_accuracy": (0.6, "0.600"),
        "trained_parameters": (294_912, "294,912"),
        "stored_bytes": (1_258_291, "1.2 MiB"),
        "inference_ms_p50": (12.34, "12.3 ms"),
        "questions_per_second": (1234.5, "1,234 /s"),
    }
    for name, (value, text) in written.items():
        assert show.figure(metric(name), value) == text
    assert show.figure(metric("peak_bytes"), None) == ""
