"""Datasets by name: find, load, check and cut to size. Text only; tokens are made elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import elementary
from bench.errors import DataError
from bench.hub import hub_is_reachable
from bench.questions import Question, Row, questions_from_rows, read_questions
from bench.spec import content_hash

SPLITS = ("train", "validation", "test")
EMBEDDED = "elementary"


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """A dataset of the Hub with a schema we know.

    Attributes:
        path: repository.
        config: its configuration.
        splits: name of our train, validation and test there.
        to_row: turns its row into one with ``question``, ``choices`` and ``answerKey``.
        held_out: our test is cut off its train, because the labels of its own are not public.
    """

    path: str
    config: str | None
    splits: tuple[str, str, str]
    to_row: Callable[[Row], Row]
    held_out: int = 0


def _as_it_is(row: Row) -> Row:
    return row


def _swag_row(row: Row) -> Row:
    labels = ["A", "B", "C", "D"]
    return {
        "question": row["startphrase"],
        "choices": {"text": [row[f"ending{index}"] for index in range(4)], "label": labels},
        "answerKey": labels[int(str(row["label"]))],
    }


STANDARD = ("train", "validation", "test")
HUB: Mapping[str, HubDataset] = {
    "openbookqa": HubDataset(
        path="allenai/openbookqa", config="main", splits=STANDARD, to_row=_as_it_is
    ),
    "arc_easy": HubDataset(
        path="allenai/ai2_arc", config="ARC-Easy", splits=STANDARD, to_row=_as_it_is
    ),
    "arc_challenge": HubDataset(
        path="allenai/ai2_arc", config="ARC-Challenge", splits=STANDARD, to_row=_as_it_is
    ),
    "commonsense_qa": HubDataset(
        path="tau/commonsense_qa",
        config=None,
        splits=("train", "train", "validation"),
        to_row=_as_it_is,
        held_out=1_200,
    ),
    "swag": HubDataset(
        path="allenai/swag",
        config="regular",
        splits=("train", "train", "validation"),
        to_row=_swag_row,
        held_out=5_000,
    ),
}
"""The labels of the last two's test splits are secret, so their validation split is our test, and
the last ``held_out`` training rows are our validation."""

KNOWN = (EMBEDDED, *HUB)

_REPOSITORIES = Counter(known.path for known in HUB.values())
_BY_REPOSITORY = {known.path: name for name, known in HUB.items() if _REPOSITORIES[known.path] == 1}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Questions by split.

    Attributes:
        name: what it was asked by; of a folder its last part.
        splits: questions of ``train``, ``validation`` and ``test``.
        notices: what was found and mended while loading, one sentence each.
    """

    name: str
    splits: Mapping[str, tuple[Question, ...]]
    notices: tuple[str, ...] = ()

    def fingerprint(self, split: str) -> str:
        """Content hash of a split, in its order."""
        return fingerprint(self.splits[split])


def fingerprint(questions: Iterable[Question]) -> str:
    """Content hash of questions, their choices and right answers, in this order."""
    return content_hash([[q.text, *q.choices, q.answer] for q in questions])


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Most questions to use per split, the first ones; ``None`` means all."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


def load_dataset(name: str, limits: Limits | None = None) -> Dataset:
    """Loads a dataset by known name, Hub name or folder, checks it whole and cuts it to size.

    Args:
        name: ``elementary``, a key of ``HUB`` or its repository, or a folder of
            ``{train,validation,test}.jsonl``.
        limits: most questions per split.

    Raises:
        DataError: with every fault found, as ``file:line: field: what``.
    """
    name = _BY_REPOSITORY.get(name, name)
    faults: list[str] = []
    splits: dict[str, list[Question]] = {}
    for split, load in _sources(name).items():
        splits[split] = load(faults)
    if faults:
        raise DataError(*faults)
    splits, notices = _without_overlap(splits)
    emptied = [split for split in SPLITS if not splits[split]]
    if emptied:
        raise DataError(
            *(f"{split}: no question is left; all stand in a later split too" for split in emptied)
        )
    limits = limits or Limits()
    cut = {split: tuple(splits[split][: getattr(limits, split)]) for split in SPLITS}
    label = Path(name).resolve().name if _is_folder(name) else name
    return Dataset(name=label, splits=cut, notices=(*_repeated_choices(cut), *notices))


Loader = Callable[[list[str]], list[Question]]


def _sources(name: str) -> dict[str, Loader]:
    if name == EMBEDDED:
        rows = elementary.generate()
        return {split: _from_rows(split, rows[split]) for split in SPLITS}
    if name in HUB:
        return {split: _from_rows(split, rows) for split, rows in _hub_rows(name).items()}
    if _is_folder(name):
        return _folder_sources(Path(name))
    raise DataError(
        f"{name!r} is neither a known name ({', '.join(KNOWN)}) nor a folder of"
        " train.jsonl, validation.jsonl and test.jsonl"
    )


def _from_rows(split: str, rows: Any) -> Loader:
    return lambda faults: questions_from_rows(split, rows, faults)


def _is_folder(name: str) -> bool:
    return name not in KNOWN and Path(name).is_dir()


def _folder_sources(folder: Path) -> dict[str, Loader]:
    paths = {split: folder / f"{split}.jsonl" for split in SPLITS}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise DataError(f"{folder}: {', '.join(missing)} missing; all three splits are needed")
    return {split: _from_file(path) for split, path in paths.items()}


def _from_file(path: Path) -> Loader:
    return lambda faults: read_questions(path, faults)


def _hub_rows(name: str) -> dict[str, Iterator[Row]]:
    known = HUB[name]
    splits = dict(zip(SPLITS, known.splits, strict=True))
    wanted = {
        "train": f"{splits['train']}[:-{known.held_out}]" if known.held_out else splits["train"],
        "validation": f"{splits['validation']}[-{known.held_out}:]"
        if known.held_out
        else splits["validation"],
        "test": splits["test"],
    }
    return {
        split: map(known.to_row, _download(name, known, slice_name))
        for split, slice_name in wanted.items()
    }


def _download(name: str, known: HubDataset, split: str) -> Iterator[Row]:
    # Imported here: the library takes a second that a folder or `elementary` need not wait for.
    import datasets

    mode = datasets.DownloadMode.REUSE_DATASET_IF_EXISTS
    if not hub_is_reachable():
        datasets.config.HF_HUB_OFFLINE = True
    try:
        return iter(
            datasets.load_dataset(known.path, known.config, split=split, download_mode=mode)
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name}: could not reach {known.path} on the Hub and load it, and the local cache"
            f" lacks it ({type(error).__name__}); use --dataset {EMBEDDED}, or a folder of"
            " {train,validation,test}.jsonl in the same schema"
        ) from error


def _without_overlap(
    splits: Mapping[str, list[Question]],
) -> tuple[dict[str, list[Question]], list[str]]:
    """Leaves out of each split what also stands in a later one, so that nothing is learnt by heart.

    The text alone is compared; answers are not looked at.
    """
    kept: dict[str, list[Question]] = {}
    notices: list[str] = []
    later: set[tuple[str, tuple[str, ...]]] = set()
    for split in reversed(SPLITS):
        kept[split] = [q for q in splits[split] if q.normalised not in later]
        dropped = len(splits[split]) - len(kept[split])
        if dropped:
            notices.append(f"{dropped} {split} questions left out: they stand in a later split too")
        later |= {question.normalised for question in splits[split]}
    return kept, notices


def _repeated_choices(splits: Mapping[str, tuple[Question, ...]]) -> Iterator[str]:
    for split, questions in splits.items():
        repeated = sum(len(set(q.normalised[1])) < len(q.choices) for q in questions)
        if repeated:
            yield f"{repeated} {split} questions offer one choice twice"


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """What can be had without a model, as shares of questions answered right, 0 … 1.

    Attributes:
        random: expected from guessing.
        constant: always the position that is right most often in training.
        longest: always the choice with most characters, the first of equals.
    """

    random: float
    constant: float
    longest: float


def baselines(train: tuple[Question, ...], scored: tuple[Question, ...]) -> Baselines:
    """Baselines of the ``scored`` split, learnt on ``train`` where there is anything to learn."""
    usual = Counter(question.answer for question in train).most_common(1)[0][0]

    def longest(question: Question) -> int:
        return max(range(len(question.choices)), key=lambda index: len(question.choices[index]))

    count = len(scored)
    return Baselines(
        random=sum(1 / len(question.choices) for question in scored) / count,
        constant=sum(question.answer == usual for question in scored) / count,
        longest=sum(question.answer == longest(question) for question in scored) / count,
    )
