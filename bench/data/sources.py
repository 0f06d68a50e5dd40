"""Where the rows of a dataset come from: embedded, a file, a folder of files, or the Hub."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data import elementary
from bench.data.rows import READERS, Numbered, numbered
from bench.errors import DataError
from bench.pretrained.source import hub_is_reachable
from bench.task import Row

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")


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


HUB: Mapping[str, HubDataset] = {
    "openbookqa": HubDataset(
        path="allenai/openbookqa", config="main", splits=SPLITS, to_row=_as_it_is
    ),
    "arc_easy": HubDataset(
        path="allenai/ai2_arc", config="ARC-Easy", splits=SPLITS, to_row=_as_it_is
    ),
    "arc_challenge": HubDataset(
        path="allenai/ai2_arc", config="ARC-Challenge", splits=SPLITS, to_row=_as_it_is
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

GENERATED: Mapping[str, Callable[[], Mapping[str, Sequence[Row]]]] = {
    "elementary": elementary.generate,
    "elementary_kinds": elementary.generate_kinds,
}
"""Datasets that come with the package."""

KNOWN = (*GENERATED, *HUB)
EMBEDDED = next(iter(GENERATED))

_REPOSITORIES = Counter(known.path for known in HUB.values())
_BY_REPOSITORY = {known.path: name for name, known in HUB.items() if _REPOSITORIES[known.path] == 1}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
"""A name of the Hub, and after a colon a configuration."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The rows of a split.

    Attributes:
        name: of the file, or of the split.
        rows: with their lines.
    """

    name: str
    rows: Sequence[Numbered]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The rows of a dataset.

    Attributes:
        name: how it is called.
        splits: what there is of train, validation and test; what is missing is cut off train.
    """

    name: str
    splits: Mapping[str, Source]


def find(name: str) -> Sources:
    """Finds a dataset and reads its rows.

    Args:
        name: see ``bench.data.load.load_dataset``.

    Raises:
        DataError: there is none of that name, or it cannot be read.
    """
    name = _BY_REPOSITORY.get(name, name)
    if name in GENERATED:
        return _from_rows(name, GENERATED[name]())
    if name in HUB:
        return _from_rows(name, _known_rows(name))
    path = Path(name)
    if path.is_dir():
        return Sources(name=path.resolve().name, splits=_folder(path))
    if path.is_file():
        return Sources(name=path.stem, splits={TRAIN: read_source(path)})
    if _REPOSITORY.fullmatch(name):
        return _from_rows(name, _hub_rows(name))
    raise DataError(
        f"{name!r} is neither a known name ({', '.join(KNOWN)}) nor a folder of"
        f" train, validation and test as {_suffixes()}, nor such a file, nor a name of the Hub"
        " such as owner/name or owner/name:config"
    )


def _from_rows(name: str, rows: Mapping[str, Iterable[Row]]) -> Sources:
    splits = {split: Source(name=split, rows=list(numbered(rows[split]))) for split in rows}
    return Sources(name=name, splits=splits)


def _suffixes() -> str:
    *others, last = READERS
    return f"{', '.join(others)} or {last}"


def read_source(path: Path) -> Source:
    """The rows of a file.

    Raises:
        DataError: the end of its name does not tell how to read it.
        OSError: it cannot be read.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path.name}: is no {_suffixes()} file")
    return Source(name=path.name, rows=list(read(path)))


def _folder(folder: Path) -> dict[str, Source]:
    found = {split: [p for s in READERS if (p := folder / f"{split}{s}").is_file()]
             for split in SPLITS}  # fmt: skip
    faults = [
        f"{folder}: {' and '.join(path.name for path in paths)} are both there; leave one"
        for paths in found.values()
        if len(paths) > 1
    ]
    there = [path.suffix for paths in found.values() for path in paths]
    usual = there[0] if there else ".jsonl"
    missing = [f"{split}{usual}" for split in SPLITS if not found[split]]
    if missing:
        faults.append(
            f"{folder}: {', '.join(missing)} missing; all three splits are needed, or one"
            " file as --dataset, which is split"
        )
    if faults:
        raise DataError(*faults)
    return {split: read_source(paths[0]) for split, paths in found.items()}


def _known_rows(name: str) -> dict[str, Iterator[Row]]:
    known = HUB[name]
    splits = dict(zip(SPLITS, known.splits, strict=True))
    if known.held_out:
        splits[VALIDATION] = f"{splits[TRAIN]}[-{known.held_out}:]"
        splits[TRAIN] = f"{splits[TRAIN]}[:-{known.held_out}]"
    return {
        split: map(known.to_row, _download(name, known.path, known.config, wanted))
        for split, wanted in splits.items()
    }


def _hub_rows(name: str) -> dict[str, Iterator[Row]]:
    """The splits of our names that any dataset of the Hub has, labels as names."""
    path, _, config = name.partition(":")
    loaded = _download(name, path, config or None, None)
    if TRAIN not in loaded:
        raise DataError(f"{name}: has no split train, only {', '.join(loaded)}")
    return {split: _named(loaded[split]) for split in SPLITS if split in loaded}


def _named(split: Any) -> Iterator[Row]:
    """Rows with the names of their class labels in place of numbers."""
    names = {
        field: feature.names
        for field, feature in split.features.items()
        if getattr(feature, "names", None)
    }
    for row in split:
        known = {
            field: names[field][row[field]]
            for field in names
            if isinstance(row[field], int) and row[field] >= 0
        }
        yield {**row, **known}


def _download(name: str, path: str, config: str | None, split: str | None) -> Any:
    # Imported here: the library takes a second that a folder or `elementary` need not wait for.
    import datasets

    mode = datasets.DownloadMode.REUSE_DATASET_IF_EXISTS
    if not hub_is_reachable():
        datasets.config.HF_HUB_OFFLINE = True
    try:
        return datasets.load_dataset(path, config, split=split, download_mode=mode)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name}: could not reach {path} on the Hub and load it, and the local cache"
            f" lacks it ({type(error).__name__}); use --dataset {EMBEDDED}, or a folder of"
            " {train,validation,test}.jsonl in the same schema"
        ) from error
