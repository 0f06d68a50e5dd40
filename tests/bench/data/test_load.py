"""The test split is under seal until something is frozen."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from bench.data.load import Limits, SealedDataset, load_dataset, sealed
from bench.errors import DataError
from bench.records.study_record import Candidate, Freeze
from tests.helpers.folders import write_dataset

FREEZE = Freeze(
    searched="",
    seeds=(1001,),
    candidates=(Candidate(fingerprint="a", arm="lora", number=0, is_best=True, on_front=True),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


def test_a_sealed_dataset_holds_no_test_question(folder: Path) -> None:
    dataset = sealed(partial(load_dataset, str(folder)))
    whole = load_dataset(str(folder))

    assert set(dataset.splits) == {"train", "validation"}
    assert [field.name for field in fields(SealedDataset)] == [
        "name",
        "task",
        "columns",
        "splits",
        "test",
        "notices",
    ]
    held = [getattr(dataset.test, field.name) for field in fields(dataset.test)]
    assert not any(isinstance(value, tuple | list) for value in held)
    assert dataset.summaries["test"].questions == 24
    assert {split: summary.fingerprint for split, summary in dataset.summaries.items()} == {
        split: whole.fingerprint(split) for split in whole.splits
    }


def test_a_freeze_opens_the_same_questions_within_the_limits(folder: Path) -> None:
    dataset = sealed(partial(load_dataset, str(folder), Limits(test=5)))

    assert dataset.test.open(FREEZE) == load_dataset(str(folder)).splits["test"][:5]


def test_questions_that_changed_under_seal_are_refused(folder: Path) -> None:
    dataset = sealed(partial(load_dataset, str(folder)))
    path = folder / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["answerKey"] = "B" if rows[0]["answerKey"] == "A" else "A"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    with pytest.raises(DataError, match="have changed since the study began"):
        dataset.test.open(FREEZE)
