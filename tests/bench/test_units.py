"""Amounts and times as people write them."""

from __future__ import annotations

import pytest

from bench.cli.recommend import BYTES, COUNTS, MILLISECONDS, SHARES
from bench.units import amount, duration, duration_of


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [
        ("300k", COUNTS, 300_000), ("1.2M", COUNTS, 1_200_000), ("74113", COUNTS, 74_113),
        ("5MB", BYTES, 5_000_000), ("5MiB", BYTES, 5 * 1024**2), (".5 kib", BYTES, 512),
        ("0.8ms", MILLISECONDS, 0.8), ("1s", MILLISECONDS, 1000), ("60%", SHARES, 0.6),
        ("5MB", COUNTS, None), ("", COUNTS, None), ("0", COUNTS, None), ("-3", COUNTS, None),
        ("1e5", COUNTS, None), ("many", COUNTS, None), ("5 M B", BYTES, None), ("٣", COUNTS, None),
    ],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(
    text: str, units: dict[str, float], value: float | None
) -> None:
    assert amount(text, units) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h 30m 15s", 5415),
        ("1.5h", 5400),
        ("45", 45),
        ("0.5", 0.5),
        (" 2H ", 7200),
    ],
)
def test_a_duration_is_hours_minutes_and_seconds_or_plain_seconds(
    text: str, seconds: float
) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "5x", "30m2h", "1h30", "3 4", "-5", "-5m", "0", "0h", "1e3", "nan"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    problems: list[str] = []
    assert duration_of("--time-budget", text, problems) is None
    assert problems == [
        f"--time-budget {text}: must be a time above 0 such as 90s, 30m, 2h, 1h30m or plain seconds"
    ]
