"""Datasets by name: read, checked, cut to size, the test split under seal until the freeze."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bench.data.rows import examples_of, first_fields, unreadable
from bench.data.sources import SPLITS, TRAIN, Source, find
from bench.errors import DataError
from bench.records.spec import content_hash
from bench.records.study_record import Freeze, SplitSummary
from bench.task import NO_COLUMNS, AnyTask, Columns, Example, Reading, Words, installed_tasks

E = TypeVar("E", bound=Example)

TENTHS = {"validation": 3, "test": 7}
"""Which of every ten examples goes where; the others stay."""

FEWEST = 20
"""Examples that can be cut: fewer would leave a split of one or none."""


def cut(examples: Sequence[E], missing: Sequence[str]) -> dict[str, list[E]]:
    """A tenth of the examples for each missing split, the others for training.

    Every label is cut in proportion, as far as it goes, and keeps at least one training example.
    Which ones go depends on their content alone, not on their order or on a seed. Examples that
    ask the same go together.

    Args:
        examples: at least ``FEWEST``.
        missing: ``validation``, ``test`` or both.
    """
    groups: dict[object, list[E]] = {}
    for example in examples:
        groups.setdefault(example.normalised, []).append(example)
    order = sorted(groups.values(), key=lambda group: (group[0].stratum, _draw(group[0])))
    homes: dict[object, str] = {}
    place, last = 0, None
    for group in order:
        first = group[0].stratum != last
        last = group[0].stratum
        home = next((split for split in missing if TENTHS[split] == place % 10), "train")
        homes[group[0].normalised] = "train" if first else home
        place += not first
    splits: dict[str, list[E]] = {split: [] for split in ("train", *missing)}
    for example in examples:
        splits[homes[example.normalised]].append(example)
    return splits


def _draw(example: Example) -> str:
    return content_hash(repr(example.normalised))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Examples by split.

    Attributes:
        name: what it was asked by; of a folder or file its last part.
        task: what is to be learnt of them.
        columns: fields that were read, guessed ones too.
        splits: examples of ``train``, ``validation`` and ``test``.
        notices: what was found and mended while loading, one sentence each.
    """

    name: str
    task: AnyTask
    columns: Columns
    splits: Mapping[str, tuple[Example, ...]]
    notices: tuple[str, ...] = ()

    def fingerprint(self, split: str) -> str:
        """Content hash of a split, in its order."""
        return fingerprint(self.splits[split])


def fingerprint(examples: Iterable[Example]) -> str:
    """Content hash of examples and their right answers, in this order."""
    return content_hash([[*example.content] for example in examples])


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Most examples to use per split, the first ones; ``None`` means all."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


def load_dataset(
    name: str,
    limits: Limits | None = None,
    *,
    task: type[AnyTask] | None = None,
    columns: Columns = NO_COLUMNS,
) -> Dataset:
    """Loads a dataset, checks it whole and cuts it to size.

    Args:
        name: a known name, see ``bench.data.sources.KNOWN``; a name of the Hub, with a colon and a
            configuration if it needs one; a folder of train, validation and test files; or a
            single file, see ``bench.data.load``. Files are CSV or JSON lines.
        limits: most examples per split.
        task: what is to be learnt; by default found from the fields of the rows.
        columns: fields to read, for tasks that have a choice.

    Raises:
        DataError: with every fault found, as ``file:line: field: what``.
    """
    sources = find(name)
    kind, reading = _recognised(sources.splits, task, columns)
    whole, cuts = _completed(_read(sources.splits, reading, kind.words), kind.words)
    splits, overlaps = _without_overlap(whole, kind.words)
    emptied = [split for split in SPLITS if not splits[split]]
    if emptied:
        left = f"no {kind.words.example} is left; all stand in a later split too"
        raise DataError(*(f"{split}: {left}" for split in emptied))
    settled = kind.settled(splits)
    limits = limits or Limits()
    used = {split: tuple(splits[split][: getattr(limits, split)]) for split in SPLITS}
    notices = (*reading.notices, *cuts, *settled.remarks(used), *overlaps)
    return Dataset(
        name=sources.name, task=settled, columns=reading.columns, splits=used, notices=notices
    )


def _recognised(
    sources: Mapping[str, Source], task: type[AnyTask] | None, columns: Columns
) -> tuple[type[AnyTask], Reading[Any]]:
    """The task that was asked for, or the only one that knows such rows, and how it reads them.

    Raises:
        DataError: there is none, or no row can be read.
    """
    fields = first_fields(row for source in sources.values() for row in source.rows)
    if fields is None:
        faults = (unreadable(source.name, source.rows) for source in sources.values())
        raise DataError(*(fault for each in faults for fault in each))
    known = installed_tasks().found
    found = [task] if task else [k for k in known.values() if k.recognises(fields, columns)]
    if len(found) != 1:
        reads = "; ".join(f"{kind.name} reads {kind.reads}" for kind in known.values())
        which = " as well as ".join(kind.name for kind in found) or "no task that is installed"
        raise DataError(
            f"rows have the fields {', '.join(map(str, fields))}, which suit {which}: {reads}; say"
            " --task, or --text-column and --label-column"
        )
    return found[0], found[0].reading(fields, columns)


def _read(
    sources: Mapping[str, Source], reading: Reading[Any], words: Words
) -> dict[str, list[Example]]:
    """The examples of every split.

    Raises:
        DataError: with every fault of all of them.
    """
    read, faults = dict[str, list[Example]](), list[str]()
    for split, source in sources.items():
        read[split] = examples_of(source.name, source.rows, reading.read, faults, words.example)
    if faults:
        raise DataError(*faults)
    return read


def _completed(
    read: Mapping[str, list[Example]], words: Words
) -> tuple[dict[str, list[Example]], list[str]]:
    """All three splits; those that the data lack are cut off the training examples, and told."""
    missing = [split for split in SPLITS if split not in read]
    if not missing:
        return dict(read), []
    if len(read[TRAIN]) < FEWEST:
        raise DataError(
            f"train: {len(read[TRAIN])} {words.examples} cannot be split, {FEWEST} are needed; give"
            f" {' and '.join(missing)} of their own"
        )
    parts = cut(read[TRAIN], missing)
    empty = [split for split in missing if not parts[split]]
    if empty:
        answers = len({example.stratum for example in read[TRAIN]})
        raise DataError(
            f"train: nothing can be cut off for {' and '.join(empty)}: one {words.example} of each"
            f" kind stays, and the {len(read[TRAIN])} {words.examples} are of {answers} kinds; give"
            f" {' and '.join(empty)} of their own"
        )
    sizes = ", ".join(f"{len(parts[split])} {split}" for split in parts)
    were = "was" if len(missing) == 1 else "were"
    told = f"{' and '.join(missing)} {were} cut off the training {words.examples}: {sizes}"
    return {**read, **parts}, [told]


def _without_overlap(
    splits: Mapping[str, list[Example]], words: Words
) -> tuple[dict[str, list[Example]], list[str]]:
    """Leaves out of each split what also stands in a later one, so that nothing is learnt by heart.

    The text alone is compared; answers are not looked at.
    """
    kept: dict[str, list[Example]] = {}
    notices: list[str] = []
    later: set[Hashable] = set()
    for split in reversed(SPLITS):
        kept[split] = [example for example in splits[split] if example.normalised not in later]
        dropped = len(splits[split]) - len(kept[split])
        if dropped:
            notices.append(
                f"{dropped} {split} {words.examples} left out: they stand in a later split too"
            )
        later |= {example.normalised for example in splits[split]}
    return kept, notices


OPEN_SPLITS = ("train", "validation")


@dataclass(frozen=True, kw_only=True)
class SealedTest:
    """The test split while nobody may know its answers: only how large it is, and its hash.

    Attributes:
        summary: of its examples.
        read: reads the examples anew; they are not kept.
    """

    summary: SplitSummary
    read: Callable[[], tuple[Example, ...]]

    def open(self, freeze: Freeze) -> tuple[Example, ...]:
        """The examples, for what was frozen and nothing else.

        Args:
            freeze: what was chosen, written down already.

        Raises:
            DataError: they are not the ones that were there when the study began.
        """
        examples = self.read()
        if summary_of(examples) != self.summary:
            raise DataError(
                "test: its rows have changed since the study began; run the command again to"
                f" score what was frozen ({len(freeze.candidates)} configurations) on the new ones"
            )
        return examples


@dataclass(frozen=True, kw_only=True)
class SealedDataset:
    """What a study may see of a dataset.

    Attributes:
        name: see ``bench.data.load.Dataset``.
        task: what is to be learnt.
        columns: see ``bench.data.load.Dataset``.
        splits: examples of ``train`` and ``validation``.
        test: the other one.
        notices: what was found and mended while loading, one sentence each.
    """

    name: str
    task: AnyTask
    columns: Columns
    splits: Mapping[str, tuple[Example, ...]]
    test: SealedTest
    notices: tuple[str, ...] = ()

    @property
    def summaries(self) -> dict[str, SplitSummary]:
        """Size and content hash of all three splits."""
        seen = {split: summary_of(examples) for split, examples in self.splits.items()}
        return {**seen, "test": self.test.summary}


def sealed(load: Callable[[], Dataset]) -> SealedDataset:
    """Loads and checks a dataset whole, then lets go of its test examples.

    Args:
        load: loads it, now and when its test is opened; see ``bench.data.load.load_dataset``.

    Raises:
        DataError: with every fault found.
    """
    whole = load()
    return SealedDataset(
        name=whole.name,
        task=whole.task,
        columns=whole.columns,
        splits={split: whole.splits[split] for split in OPEN_SPLITS},
        test=SealedTest(
            summary=summary_of(whole.splits["test"]),
            read=lambda: load().splits["test"],
        ),
        notices=whole.notices,
    )


def summary_of(examples: tuple[Example, ...]) -> SplitSummary:
    """Size and content hash of a split, in its order."""
    return SplitSummary(questions=len(examples), fingerprint=fingerprint(examples))
