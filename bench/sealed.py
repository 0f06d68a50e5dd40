"""A dataset whose test split is under seal: nothing can look at it before the freeze."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.data import Dataset, fingerprint
from bench.errors import DataError
from bench.study_record import Freeze, SplitSummary
from bench.task import AnyTask, Columns, Example

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
        name: see ``bench.data.Dataset``.
        task: what is to be learnt.
        columns: see ``bench.data.Dataset``.
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
        load: loads it, now and when its test is opened; see ``bench.data.load_dataset``.

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
