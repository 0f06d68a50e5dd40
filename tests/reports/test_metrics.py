"""The table of metrics, and numbers as text."""

from __future__ import annotations

import pytest

from bench.errors import StudyError
from reports import show
from reports.metrics import COLUMNS, metric
from tests.helpers.records import broken, trial


def test_every_metric_but_the_undeployed_latencies_can_be_read_from_a_full_record() -> None:
    record = trial(test=300)
    unread = [name for name, one in COLUMNS.items() if one.read(record) is None]
    assert unread[:6] == [
        f"{split}_{name}"
        for split in ("validation", "test")
        for name in ("macro_f1", "matthews", "calibration_error")
    ]
    assert unread[6:] == [
        f"{latency}_{figure}_undeployed"
        for latency in ("inference_ms", "batched_ms")
        for figure in ("p50", "iqr", "p95")
    ]


def test_latencies_before_deploy_are_read_where_there_are_any() -> None:
    plain = trial()
    assert plain.inference is not None
    slow = plain.inference.batched.model_copy(update={"p50": 9.0, "iqr": 0.7, "p95": 11.0})
    parts = {"undeployed": slow, "undeployed_batched": slow}
    record = trial(inference=plain.inference.model_copy(update=parts))
    for latency in ("inference_ms", "batched_ms"):
        names = (f"{latency}_{figure}_undeployed" for figure in ("p50", "iqr", "p95"))
        assert [metric(name).read(record) for name in names] == [9.0, 0.7, 11.0]


def test_no_metric_invents_a_figure_for_a_trial_without_result() -> None:
    assert {one.read(broken("lora", 0)) for one in COLUMNS.values()} == {None}


def test_better_values_rank_first_in_either_direction() -> None:
    assert sorted((0.2, 0.6), key=metric("test_accuracy").sort_key) == [0.6, 0.2]
    assert sorted((9.0, 3.0), key=metric("train_seconds").sort_key) == [3.0, 9.0]


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


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0421, "+4.2"), (-0.003, "-0.3"), (0.0004, "0.0"), (-0.0004, "0.0"), (0.3, "+30.0")],
)
def test_differences_are_points_with_a_sign(difference: float, text: str) -> None:
    assert show.points(difference) == text


def test_estimated_probabilities_are_never_quite_none_or_one() -> None:
    assert [show.probability(p) for p in (0.0, 0.004, 0.5, 0.994, 1.0)] == [
        "<0.01",
        "<0.01",
        "0.50",
        "0.99",
        ">0.99",
    ]
    assert [show.p_value(p) for p in (0.0, 0.0004, 0.0312, 1.0)] == [
        "<0.001",
        "<0.001",
        "0.031",
        "1.000",
    ]


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [show.listing(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_half_an_interval_has_no_zero_before_its_point() -> None:
    assert show.half(0.556, 0.642) == "±.043"
    assert show.half(-1.0, 1.0) == "±1.000"
