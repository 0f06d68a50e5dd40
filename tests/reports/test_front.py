"""The Pareto front on hand-worked points."""

from __future__ import annotations

from reports.front import points
from tests.helpers.records import broken, trial


def _front(*plane: tuple[int, int]) -> list[bool]:
    records = [
        trial(number=number, parameters=parameters, right=right)
        for number, (parameters, right) in enumerate(plane)
    ]
    flags = {point.record.number: point.on_front for point in points(records)}
    return [flags[number] for number in range(len(plane))]


def test_a_front_of_five_points_worked_by_hand() -> None:
    # 400 parameters are beaten by 300 at the same accuracy, 900 by 300 in both.
    plane = (100, 150), (300, 250), (400, 250), (900, 240), (2000, 300)
    assert _front(*plane) == [True, True, False, False, True]


def test_equal_points_are_on_the_front_together() -> None:
    assert _front((100, 150), (100, 150), (200, 150)) == [True, True, False]


def test_more_parameters_must_buy_more_accuracy() -> None:
    assert _front((100, 150), (100, 160)) == [False, True]


def test_points_come_by_parameters_and_then_by_accuracy() -> None:
    records = [
        trial(number=0, parameters=200, right=10),
        trial(number=1, parameters=100, right=10),
        trial(number=2, parameters=100, right=20),
    ]
    assert [point.record.number for point in points(records)] == [2, 1, 0]


def test_trials_without_result_are_no_points() -> None:
    assert points([broken("lora", 0)]) == []
