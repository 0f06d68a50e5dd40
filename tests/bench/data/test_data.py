"""Datasets by name: checked whole, cut to size, and no question learnt by heart."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from bench.data.load import Limits, load_dataset
from bench.data.sources import HUB, SPLITS
from bench.data.tasks.multiple_choice import MultipleChoice, Question
from bench.errors import DataError
from bench.metrics import accuracy
from bench.pretrained.source import hub_is_reachable


def row(name: str, *, answer: str = "A", texts: tuple[str, ...] = ("yes", "no")) -> dict[str, Any]:
    labels = list("ABCDEFGH"[: len(texts)])
    choices = {"text": list(texts), "label": labels}
    return {"id": name, "question": f"Is it {name}?", "choices": choices, "answerKey": answer}


def rows_of(split: str, count: int = 3) -> list[dict[str, Any]]:
    return [row(f"{split}-{index}") for index in range(count)]


def folder_of(tmp_path: Path, **splits: list[dict[str, Any]]) -> str:
    """A folder with three sound splits, but for those that are given."""
    folder = tmp_path / "mine"
    folder.mkdir(exist_ok=True)
    for split in SPLITS:
        rows = splits.get(split, rows_of(split))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    return str(folder)


def test_a_folder_is_read_and_called_by_its_last_part(tmp_path: Path) -> None:
    dataset = load_dataset(folder_of(tmp_path) + "/")
    assert dataset.name == "mine"
    assert {split: len(dataset.splits[split]) for split in SPLITS} == dict.fromkeys(SPLITS, 3)
    assert dataset.notices == ()


def test_the_embedded_dataset_is_sound() -> None:
    dataset = load_dataset("elementary")
    assert {split: len(dataset.splits[split]) for split in SPLITS} == {
        "train": 2400,
        "validation": 500,
        "test": 500,
    }
    assert dataset.notices == ()


def test_limits_keep_the_first_questions_of_each_split(tmp_path: Path) -> None:
    dataset = load_dataset(folder_of(tmp_path), Limits(train=2, test=1))
    assert [q.identifier for q in dataset.splits["train"]] == ["train-0", "train-1"]
    assert [q.identifier for q in dataset.splits["test"]] == ["test-0"]
    assert len(dataset.splits["validation"]) == 3


def test_a_limit_above_the_size_takes_all(tmp_path: Path) -> None:
    assert len(load_dataset(folder_of(tmp_path), Limits(train=99)).splits["train"]) == 3


def test_faults_of_several_files_are_all_told_with_file_line_and_field(tmp_path: Path) -> None:
    name = folder_of(
        tmp_path,
        train=[row("a"), row("b", answer="Q"), row("c", texts=("only",))],
        validation=[],
        test=[row("d"), row("d")],
    )
    with (Path(name) / "test.jsonl").open("ab") as file:
        file.write(b'{"question": "cut')
    with pytest.raises(DataError) as caught:
        load_dataset(name)
    assert list(caught.value.problems) == [
        'train.jsonl:2: answerKey: must be one of A, B, got "Q"',
        "train.jsonl:3: choices: 2 to 8 are allowed, got 1",
        "validation.jsonl: holds no question",
        "test.jsonl:3: row: is no complete JSON (Unterminated string starting at)",
        'test.jsonl:2: id: "d" stands on line 1 too',
    ]


def test_a_question_of_a_later_split_is_left_out_of_the_earlier_ones_and_told(
    tmp_path: Path,
) -> None:
    shared = row("shared", answer="A")
    shouted = row("other name", answer="B", texts=("NO", "Yes"))
    shouted["question"] = "is it SHARED?"
    name = folder_of(
        tmp_path,
        train=[row("t"), shared, row("u")],
        validation=[row("v"), row("u")],
        test=[row("w"), shouted],
    )
    dataset = load_dataset(name)
    assert [q.identifier for q in dataset.splits["train"]] == ["t"]
    assert [q.identifier for q in dataset.splits["validation"]] == ["v", "u"]
    assert [q.identifier for q in dataset.splits["test"]] == ["w", "other name"]
    assert dataset.notices == ("2 train questions left out: they stand in a later split too",)


def test_the_same_text_with_other_choices_is_another_question(tmp_path: Path) -> None:
    train = [row("same", texts=("yes", "no"))]
    test = [row("same", texts=("yes", "maybe"))]
    dataset = load_dataset(folder_of(tmp_path, train=train, test=test))
    assert len(dataset.splits["train"]) == 1
    assert dataset.notices == ()


def test_splits_that_are_the_same_file_are_refused_not_emptied(tmp_path: Path) -> None:
    rows = rows_of("all")
    with pytest.raises(DataError) as caught:
        load_dataset(folder_of(tmp_path, train=rows, validation=rows, test=rows))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "train",
        "validation",
    ]
    assert "no question is left" in str(caught.value)


def test_a_choice_that_is_offered_twice_is_told(tmp_path: Path) -> None:
    train = [row("a", texts=("yes", "no", "Yes ")), row("b")]
    dataset = load_dataset(folder_of(tmp_path, train=train))
    assert dataset.notices == ("1 train questions offer one choice twice",)
    assert len(dataset.splits["train"][0].choices) == 3


def test_the_fingerprint_of_a_split_changes_with_its_content_alone(tmp_path: Path) -> None:
    def fingerprints(**splits: list[dict[str, Any]]) -> list[str]:
        dataset = load_dataset(folder_of(tmp_path, **splits))
        return [dataset.fingerprint(split) for split in SPLITS]

    before = fingerprints()
    assert len(set(before)) == 3
    changed_answer = fingerprints(train=[*rows_of("train", 2), row("train-2", answer="B")])
    changed_choice = fingerprints(train=[*rows_of("train", 2), row("train-2", texts=("yes", "x"))])
    other_order = fingerprints(train=rows_of("train")[::-1])
    fewer = fingerprints(train=rows_of("train", 2))
    trains = {each[0] for each in (before, changed_answer, changed_choice, other_order, fewer)}
    assert len(trains) == 5
    assert changed_answer[1:] == before[1:]
    renamed = [{**row, "id": f"new-{row['id']}"} for row in rows_of("train")]
    assert fingerprints(train=renamed) == before


def question(answer: int, *choices: str) -> Question:
    return Question(identifier="", text="?", choices=choices, answer=answer)


def test_baselines_of_four_questions_worked_by_hand() -> None:
    train = tuple(question(answer, "a", "b", "c") for answer in (1, 1, 2, 0))
    scored = (
        question(1, "aa", "bbbb"),  # 1/2; the usual place 1 is right; the longest is right
        question(0, "aa", "b", "c", "dd"),  # 1/4; wrong; the longest, first of equals, is right
        question(2, "a", "b", "c", "dddd"),  # 1/4; wrong; wrong
        question(1, "aaaa", "bb", "c", "d", "e"),  # 1/5; right; wrong
    )
    right = [question.answer for question in scored]
    found = {
        each.name: accuracy(each.outcome(right))
        for each in MultipleChoice().baselines(train, scored)
    }
    blind = pytest.approx((1 / 2 + 1 / 4 + 1 / 4 + 1 / 5) / 4)
    assert found == {"random": blind, "constant": 0.5, "longest": 0.5}


def test_an_unknown_name_tells_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'openbook' is neither a known name") as caught:
        load_dataset("openbook")
    assert all(name in str(caught.value) for name in ("elementary", *HUB))
    assert "folder of train, validation and test as .jsonl, .csv or .tsv" in str(caught.value)


def test_missing_split_files_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps(row("a")))
    with pytest.raises(DataError, match=r"validation\.jsonl, test\.jsonl missing; all three"):
        load_dataset(str(tmp_path))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine without network and without cached datasets."""
    import datasets

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    hub_is_reachable.cache_clear()
    yield
    hub_is_reachable.cache_clear()


@pytest.mark.usefixtures("offline")
def test_a_hub_dataset_without_network_says_what_to_use_instead() -> None:
    assert not hub_is_reachable()
    with pytest.raises(DataError, match="openbookqa: could not reach allenai/openbookqa") as caught:
        load_dataset("openbookqa")
    assert "use --dataset elementary, or a folder of {train,validation,test}.jsonl" in str(
        caught.value
    )


def test_every_hub_dataset_has_three_different_splits() -> None:
    for name, known in HUB.items():
        assert len(set(known.splits)) == 3 or known.held_out > 0, name


def test_a_row_of_the_completion_dataset_becomes_a_question() -> None:
    swag = {f"ending{index}": f"ending {index}" for index in range(4)}
    turned = HUB["swag"].to_row({**swag, "startphrase": "She opens the door and", "label": 2})
    assert turned["answerKey"] == "C"
    assert turned["question"] == "She opens the door and"
    assert turned["choices"] == {
        "text": [f"ending {index}" for index in range(4)],
        "label": ["A", "B", "C", "D"],
    }
