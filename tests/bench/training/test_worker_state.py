"""Batches that are timed stand for their split."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.batches import collate, evenly
from bench.task import Batch
from tests.helpers.trials import make_questions

SPLIT = make_questions(40)
BATCHES = [collate(SPLIT, np.array([row], dtype=np.int32)) for row in range(40)]


@pytest.mark.parametrize(
    ("there", "wanted", "places"),
    [
        (6, 3, [1, 3, 5]),
        (7, 2, [1, 5]),
        (4, 4, [0, 1, 2, 3]),
        (3, 4, [0, 1, 2, 0, 1, 2]),
        (1, 3, [0, 0, 0]),
    ],
)
def test_they_come_from_all_lengths_alike(there: int, wanted: int, places: list[int]) -> None:
    expected: list[Batch] = [BATCHES[place] for place in places]
    assert evenly(BATCHES[:there], wanted) == expected
