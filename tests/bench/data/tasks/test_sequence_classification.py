"""Labelled texts: from a person's file to examples, with every fault at its place."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from bench.data.batches import collate
from bench.data.load import Dataset, Limits, load_dataset
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.data.tasks.sequence_classification import LabelledText, SequenceClassification
from bench.data.tokens import tokenise
from bench.errors import DataError
from bench.metrics import accuracy
from bench.pretrained.source import locate
from bench.task import Columns
from bench.training.model import TaskModel
from tests.helpers.folders import write_dataset
from tests.helpers.tiny import WIDTH, tiny

CLASSES = SequenceClassification(labels=("bad", "good", "so so"))


def texts(split: str, count: int = 4) -> list[dict[str, Any]]:
    labels = ("good", "bad")
    return [{"text": f"{split} {n}", "label": labels[n % 2]} for n in range(count)]


def write_csv(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = options.pop("encoding", "utf-8")
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def folder(place: Path, suffix: str = "csv", **splits: list[dict[str, Any]]) -> str:
    """A folder of three sound splits, but for those that are given."""
    place.mkdir(exist_ok=True)
    for split in ("train", "validation", "test"):
        rows = splits.get(split, texts(split))
        path = place / f"{split}.{suffix}"
        if suffix == "csv":
            write_csv(path, rows)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(place)


def told(name: str, **arguments: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        load_dataset(name, **arguments)
    return list(caught.value.problems)


def labels_of(dataset: Dataset, split: str) -> list[str]:
    return [example.label for example in dataset.splits[split]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_folder_of_texts_is_found_to_be_classification(tmp_path: Path, suffix: str) -> None:
    dataset = load_dataset(folder(tmp_path / "mine", suffix))
    assert dataset.task == SequenceClassification(labels=("bad", "good"))
    assert dataset.name == "mine"
    assert dataset.notices == ()
    assert dataset.splits["train"][0] == LabelledText(
        identifier="train-2" if suffix == "csv" else "train-1",
        text="train 0",
        pair=None,
        label="good",
    )


def test_questions_are_still_found_to_be_multiple_choice(tmp_path: Path) -> None:
    assert load_dataset(str(write_dataset(tmp_path / "data"))).task == MultipleChoice()


def test_both_formats_have_one_fingerprint(tmp_path: Path) -> None:
    ones = load_dataset(folder(tmp_path / "a", "csv"))
    others = load_dataset(folder(tmp_path / "b", "jsonl"))
    for split in ones.splits:
        assert ones.fingerprint(split) == others.fingerprint(split)


def test_quotes_commas_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    odd = 'She said "no",\nand\tleft; für immer'
    rows = [{"text": odd, "label": "a,b"}, {"text": "plain", "label": "c"}]
    name = folder(tmp_path / "data", train=rows, validation=rows[:0] or texts("v"))
    for split in ("validation", "test"):
        again = [{"text": f"{split} {n}", "label": row["label"]} for n, row in enumerate(rows)]
        write_csv(Path(name) / f"{split}.csv", again)
    path = write_csv(Path(name) / "train.csv", rows, encoding="utf-8-sig", lineterminator="\r\n")
    assert path.read_bytes().startswith(b"\xef\xbb\xbftext,label\r\n")
    dataset = load_dataset(name)
    first, second = dataset.splits["train"]
    assert first.content == [" ".join(odd.split()), None, "a,b"]
    # The first text goes over two lines, so the second row begins on line 4.
    assert (first.identifier, second.identifier) == ("train-2", "train-4")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_of_a_spreadsheet_may_have_another_delimiter(
    tmp_path: Path, delimiter: str
) -> None:
    name = folder(tmp_path / "data")
    write_csv(Path(name) / "train.csv", texts("train"), delimiter=delimiter)
    assert len(load_dataset(name).splits["train"]) == 4


def test_every_bad_row_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    name = folder(tmp_path / "data")
    (Path(name) / "train.csv").write_text(
        'text,label\nfine,good\n,bad\nno label,\n"two, fields"\nfine too,bad\n'
    )
    (Path(name) / "validation.csv").write_text('text,label\n"never closed,good\n')
    (Path(name) / "test.csv").write_bytes(b"text,label\nok,good\n\xff,good\n")
    assert told(name) == [
        'train.csv:3: text: must be a non-empty text, got ""',
        'train.csv:4: label: must be a name or a whole number ≥ 0, got ""',
        "train.csv:5: row: 2 columns are needed as in the header, got 1",
        "validation.csv:2: row: is no complete CSV (unexpected end of data)",
        "test.csv:3: row: is not UTF-8 (invalid start byte)",
    ]


def test_bad_rows_of_json_lines_are_told_too(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1.5}, {"text": 3, "label": -1}, {"text": "b", "label": 0}]
    name = folder(tmp_path / "data", "jsonl", train=rows)
    assert told(name) == [
        "train.jsonl:1: label: must be a name or a whole number ≥ 0, got 1.5",
        "train.jsonl:2: text: must be a non-empty text, got 3",
        "train.jsonl:2: label: must be a name or a whole number ≥ 0, got -1",
    ]


def test_a_header_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    name = folder(tmp_path / "data")
    (Path(name) / "train.csv").write_text("text,label,text\na,b,c\n")
    assert told(name)[0] == 'train.csv:1: header: column "text" stands there twice'


def test_a_column_without_a_name_is_left_out_as_the_numbers_of_pandas_are(tmp_path: Path) -> None:
    name = folder(tmp_path / "data")
    (Path(name) / "train.csv").write_text(",text,label,\n0,first,good,\n1,second,bad,\n")
    first, second = load_dataset(name).splits["train"]
    assert (first.content, second.content) == (["first", None, "good"], ["second", None, "bad"])


def test_the_end_of_a_name_may_be_written_in_capitals(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "MINE.CSV", mixed(60))
    assert sum(map(len, load_dataset(str(path)).splits.values())) == 60


def test_of_many_faults_of_one_kind_the_first_are_told_and_the_others_counted(
    tmp_path: Path,
) -> None:
    rows = [{"text": f"text {number}", "label": ""} for number in range(500)]
    rows[300] = {"text": "", "label": "good"}
    faults = told(folder(tmp_path / "data", train=rows))
    assert faults[:10] == [
        f'train.csv:{line}: label: must be a name or a whole number ≥ 0, got ""'
        for line in range(2, 12)
    ]
    assert faults[10:] == [
        'train.csv:302: text: must be a non-empty text, got ""',
        "train.csv: label: 489 more faults, on later lines",
    ]


def test_labels_that_are_all_different_cannot_be_split_and_it_is_told_why(tmp_path: Path) -> None:
    rows = [{"text": f"text {number}", "label": number / 7} for number in range(50)]
    (fault,) = told(str(write_csv(tmp_path / "prices.csv", rows)))
    assert fault.startswith("train: nothing can be cut off for validation and test: one text of")
    assert "the 50 texts are of 50 kinds" in fault


def test_one_column_is_not_read_as_two(tmp_path: Path) -> None:
    name = folder(tmp_path / "data")
    assert told(name, columns=Columns(label="text")) == [
        "text, pair and label must be different columns, got text, text"
    ]
    (fault,) = told(name, columns=Columns(pair="label"))
    assert fault.endswith("got text, label, label")


def test_labels_that_differ_in_case_and_texts_with_two_labels_are_told(tmp_path: Path) -> None:
    rows = [*texts("train"), {"text": "a", "label": "Good"}, {"text": "b", "label": "Good"}]
    rows += [{"text": "A ", "label": "bad"}]
    assert load_dataset(folder(tmp_path / "data", train=rows)).notices[:2] == (
        'labels "Good", "good" differ in case alone and are learnt as several',
        "1 train texts stand there with different labels",
    )


def test_usual_names_are_guessed_and_told(tmp_path: Path) -> None:
    def renamed(split: str) -> list[dict[str, Any]]:
        return [
            {"premise": row["text"], "hypothesis": "so", "class": row["label"]}
            for row in texts(split)
        ]

    splits = {split: renamed(split) for split in ("train", "validation", "test")}
    dataset = load_dataset(folder(tmp_path / "data", **splits))
    assert dataset.notices == (
        "read as --text-column premise --pair-column hypothesis --label-column class, by their"
        " names",
    )
    assert dataset.splits["train"][0].content == ["train 0", "so", "good"]


def test_columns_that_are_named_are_read_and_missing_ones_told(tmp_path: Path) -> None:
    rows = {
        split: [{"body": r["text"], "mood": r["label"], "label": "x"} for r in texts(split)]
        for split in ("train", "validation", "test")
    }
    name = folder(tmp_path / "data", **rows)
    dataset = load_dataset(name, columns=Columns(text="body", label="mood"))
    assert dataset.task.labels == ("bad", "good")
    assert dataset.notices == ()
    assert told(name, columns=Columns(text="bdy", pair="title", label="mood")) == [
        "--text-column bdy: no such column; the data have body, mood, label",
        "--pair-column title: no such column; the data have body, mood, label",
    ]
    (fault,) = told(name)
    assert fault.startswith("rows have the fields body, mood, label, which suit no task that is")


def test_columns_have_no_meaning_for_questions(tmp_path: Path) -> None:
    name = str(write_dataset(tmp_path / "data"))
    (fault,) = told(name, task=MultipleChoice, columns=Columns(text="question_stem"))
    assert "leave --text-column" in fault


def test_a_label_that_training_lacks_is_refused_with_its_split(tmp_path: Path) -> None:
    rows = [{"text": "v 1", "label": "good"}, {"text": "v 2", "label": "ugly"}]
    assert told(folder(tmp_path / "data", validation=rows)) == [
        'validation: label "ugly" of 1 texts is not among those of the training texts'
        ' ("bad", "good")'
    ]


def test_one_label_is_nothing_to_learn(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}]
    (fault,) = told(folder(tmp_path / "data", train=rows))
    assert fault == 'train: 2 to 1000 different labels are needed, got 1 ("x")'


def test_a_rare_label_is_told(tmp_path: Path) -> None:
    rows = [*texts("train"), {"text": "alone", "label": "odd"}]
    dataset = load_dataset(folder(tmp_path / "data", train=rows))
    assert 'fewer than 2 train texts have the label "odd"' in dataset.notices


def test_texts_of_a_later_split_are_left_out_whatever_their_case(tmp_path: Path) -> None:
    rows = [*texts("train"), {"text": "TEST  0", "label": "bad"}]
    dataset = load_dataset(folder(tmp_path / "data", train=rows))
    assert len(dataset.splits["train"]) == 4
    assert dataset.notices == ("1 train texts left out: they stand in a later split too",)


def test_numbers_are_labels_in_their_order(tmp_path: Path) -> None:
    def numbers(split: str) -> list[dict[str, Any]]:
        return [{"text": f"{split} {n}", "label": n} for n in range(12)]

    splits = {split: numbers(split) for split in ("train", "validation", "test")}
    dataset = load_dataset(folder(tmp_path / "data", "jsonl", **splits))
    assert dataset.task.labels == tuple(map(str, range(12)))


def test_a_limit_does_not_change_the_labels(tmp_path: Path) -> None:
    dataset = load_dataset(folder(tmp_path / "data"), Limits(train=1))
    assert dataset.task.labels == ("bad", "good")
    assert 'fewer than 2 train texts have the label "bad", "good"' in dataset.notices


def mixed(count: int) -> list[dict[str, Any]]:
    """One in five is of the rarer label."""
    return [{"text": f"text {n}", "label": "rare" if n % 5 == 0 else "usual"} for n in range(count)]


def test_a_single_file_is_split_in_proportion_and_the_same_in_any_order(tmp_path: Path) -> None:
    rows = mixed(200)
    dataset = load_dataset(str(write_csv(tmp_path / "mine.csv", rows)))
    assert dataset.name == "mine"
    sizes = {split: len(dataset.splits[split]) for split in dataset.splits}
    assert sizes == {"train": 160, "validation": 20, "test": 20}
    assert dataset.notices == (
        "validation and test were cut off the training texts: 160 train, 20 validation, 20 test",
    )
    for split in dataset.splits:
        counts = Counter(labels_of(dataset, split))
        assert counts["rare"] / counts.total() == pytest.approx(0.2, abs=0.05)
    turned = load_dataset(str(write_csv(tmp_path / "turned.csv", rows[::-1])))
    for split in dataset.splits:
        assert {e.normalised for e in dataset.splits[split]} == {
            e.normalised for e in turned.splits[split]
        }


def test_a_label_of_one_row_stays_in_training_and_equal_texts_together(tmp_path: Path) -> None:
    rows = [*mixed(60), *mixed(60), {"text": "alone", "label": "single"}]
    dataset = load_dataset(str(write_csv(tmp_path / "mine.csv", rows)))
    assert "single" in labels_of(dataset, "train")
    assert not any("left out" in notice for notice in dataset.notices)
    assert sum(map(len, dataset.splits.values())) == len(rows)


def test_a_file_too_small_to_split_is_refused(tmp_path: Path) -> None:
    (fault,) = told(str(write_csv(tmp_path / "mine.csv", mixed(19))))
    assert fault.startswith("train: 19 texts cannot be split, 20 are needed")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.xlsx").write_bytes(b"PK")
    assert told(str(tmp_path / "mine.xlsx")) == ["mine.xlsx: is no .jsonl, .csv or .tsv file"]


def hub(monkeypatch: pytest.MonkeyPatch, *splits: str) -> list[tuple[Any, ...]]:
    """Puts a dataset of the Hub, as its library gives it, in the place of a download."""
    import datasets

    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    found = datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {"sentence": [f"{split} {n}" for n in range(40)], "label": [0, 1] * 20},
                features=features,
            )
            for split in splits
        }
    )
    asked: list[tuple[Any, ...]] = []

    def load(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        return found

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def test_a_hub_dataset_has_the_names_of_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, "train", "validation", "test")
    dataset = load_dataset("owner/films:small")
    assert asked == [("owner/films", "small")]
    assert dataset.task.labels == ("no", "yes")
    assert dataset.notices == ("read as --text-column sentence, by their names",)
    assert [len(examples) for examples in dataset.splits.values()] == [40, 40, 40]


def test_a_split_that_a_hub_dataset_lacks_is_cut_off_its_training_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub(monkeypatch, "train", "test")
    dataset = load_dataset("owner/films")
    assert {split: len(dataset.splits[split]) for split in dataset.splits} == {
        "train": 36,
        "validation": 4,
        "test": 40,
    }
    assert dataset.notices[1] == (
        "validation was cut off the training texts: 36 train, 4 validation"
    )


def test_a_hub_dataset_without_training_texts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, "test")
    assert told("owner/films") == ["owner/films: has no split train, only test"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return locate("bundled").tokenizer()


def example(number: int, label: str, pair: str | None = None) -> LabelledText:
    return LabelledText(identifier=str(number), text=f"text {number}", pair=pair, label=label)


@pytest.mark.parametrize("pair", [None, "and another"])
def test_a_text_or_pair_is_one_sequence_as_the_tokenizer_makes_it(
    tokenizer: PreTrainedTokenizerBase, pair: str | None
) -> None:
    examples = [example(n, label, pair) for n, label in enumerate(("good", "bad", "so so"))]
    split = tokenise(CLASSES, examples, tokenizer, 32)
    assert split.first.tolist() == [0, 1, 2, 3]
    assert split.answers.tolist() == [1, 0, 2]
    for place, each in enumerate(examples):
        alone = tokenizer(each.text, pair)["input_ids"]
        assert split.tokens[split.starts[place] : split.starts[place + 1]].tolist() == alone


def test_a_long_text_is_cut_at_its_end(tokenizer: PreTrainedTokenizerBase) -> None:
    long = LabelledText(identifier="0", text="first " + "word " * 50, pair=None, label="bad")
    split = tokenise(CLASSES, [long], tokenizer, 8)
    assert split.truncated == 1
    assert tokenizer.decode(split.tokens).startswith("[CLS] first word")


def test_the_loss_is_that_of_transformers_own_head(tokenizer: PreTrainedTokenizerBase) -> None:
    from transformers import BertForSequenceClassification

    theirs = BertForSequenceClassification(tiny("bert").config)
    theirs.config.num_labels = theirs.num_labels = 3
    theirs.classifier = torch.nn.Linear(WIDTH, 3)
    ours = TaskModel(CLASSES, tiny("bert"), width=WIDTH, pooling="mean", dropout=0.0).eval()
    ours.head.load_state_dict(theirs.classifier.state_dict())
    examples = [example(n, label) for n, label in enumerate(("good", "bad", "so so"))]
    split = tokenise(CLASSES, examples, tokenizer, 32)
    batch = collate(split, np.arange(3, dtype=np.int32))
    small = {**batch.inputs, "input_ids": batch.inputs["input_ids"] % 128}
    vectors = ours.read(small)
    logits = CLASSES.logits(ours.head(vectors), batch)
    expected = torch.nn.functional.cross_entropy(
        theirs.classifier(vectors), torch.tensor([1, 0, 2])
    )
    assert logits.shape == (3, 3)
    torch.testing.assert_close(CLASSES.loss(logits, batch.answers) / 3, expected)


def test_baselines_of_labels_worked_by_hand() -> None:
    train = [example(0, "good"), example(1, "good"), example(2, "bad"), example(3, "so so")]
    scored = [example(4, "good"), example(5, "bad")]
    right = [CLASSES.answer(each) for each in scored]
    found = {b.name: accuracy(b.outcome(right)) for b in CLASSES.baselines(train, scored)}
    # By prior: 1/2 for the first, 1/4 for the second; the majority is good.
    assert found == {"random": pytest.approx((1 / 2 + 1 / 4) / 2), "majority": 0.5}


def test_usual_names_are_known_in_capitals_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    rows = "".join(f"a {n},b {n},{'yes' if n % 2 else 'no'}\n" for n in range(40))
    path.write_text(f"Sentence1,SENTENCE2,Label\n{rows}")
    dataset = load_dataset(str(path))
    assert dataset.columns.named == {"text": "Sentence1", "pair": "SENTENCE2", "label": "Label"}
    assert dataset.task.settings == {"labels": ("no", "yes"), "pairs": True}
