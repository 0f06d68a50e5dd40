"""A dataset whose test split is under seal: nothing can look at it before the freeze."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.data import Limits, fingerprint, load_dataset
from bench.errors import DataError
from bench.questions import Question
from bench.study_record import Freeze, SplitSummary

OPEN_SPLITS = ("train", "validation")


@dataclass(frozen=True, kw_only=True)
class SealedTest:
    """The test split while nobody may know its answers: only how large it is, and its hash.

    Attributes:
        summary: of its questions.
        read: reads the questions anew; they are not kept.
    """

    summary: SplitSummary
    read: Callable[[], tuple[Question, ...]]

    def open(self, freeze: Freeze) -> tuple[Question, ...]:
        """The questions, for what was frozen and nothing else.

        Args:
            freeze: what was chosen, written down already.

        Raises:
            DataError: they are not the ones that were there when the study began.
        """
        questions = self.read()
        if summary_of(questions) != self.summary:
            raise DataError(
                "test: its questions have changed since the study began; run the command again to"
                f" score what was frozen ({len(freeze.candidates)} configurations) on the new ones"
            )
        return questions


@dataclass(frozen=True, kw_only=True)
class SealedDataset:
    """What a study may see of a dataset.

    Attributes:
        name: see ``bench.data.Dataset``.
        splits: questions of ``train`` and ``validation``.
        test: the other one.
        notices: what was found and mended while loading, one sentence each.
    """

    name: str
    splits: Mapping[str, tuple[Question, ...]]
    test: SealedTest
    notices: tuple[str, ...] = ()

    @property
    def summaries(self) -> dict[str, SplitSummary]:
        """Size and content hash of all three splits."""
        seen = {split: summary_of(questions) for split, questions in self.splits.items()}
        return {**seen, "test": self.test.summary}


def load_sealed(name: str, limits: Limits | None = None) -> SealedDataset:
    """Loads and checks a dataset whole, then lets go of its test questions.

    Args:
        name: see ``bench.data.load_dataset``.
        limits: most questions per split.

    Raises:
        DataError: with every fault found.
    """
    whole = load_dataset(name, limits)
    return SealedDataset(
        name=whole.name,
        splits={split: whole.splits[split] for split in OPEN_SPLITS},
        test=SealedTest(
            summary=summary_of(whole.splits["test"]),
            read=lambda: load_dataset(name, limits).splits["test"],
        ),
        notices=whole.notices,
    )


def summary_of(questions: tuple[Question, ...]) -> SplitSummary:
    """Size and content hash of a split, in its order."""
    return SplitSummary(questions=len(questions), fingerprint=fingerprint(questions))
