"""The contract of a task, what its rows say and how a model answers them; the tasks there are.

A task is a frozen dataclass, as a strategy is. Its fields are what the training data settle, such
as the names of labels, so that an instance is all that a worker needs to know of it.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bench.errors import PluginError, StudyError
from bench.metrics import METRICS, Outcome
from bench.plugins import Plugins, check_class, load_plugins

if TYPE_CHECKING:
    from torch import Tensor, device, nn

Row: TypeAlias = Mapping[str, object]
"""A row as it was found, by field."""

Segments: TypeAlias = tuple[str, ...]
"""The text of one sequence, or the two texts of a pair."""

Inputs: TypeAlias = "dict[str, Tensor]"
"""Keyword arguments of a backbone."""

GUESSING = "random"
"""Name of the baseline that every task has: what can be expected of answering blindly."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """How reports speak of a task.

    Attributes:
        example: one of what is answered, such as ``question``.
        examples: several.
        purpose: what a trained model does, as a sentence.
        answers: what stands over the shares of the answers, such as ``share of each label``.
    """

    example: str
    examples: str
    purpose: str
    answers: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the fields to read, where a person gave them; ``None`` leaves it to the task."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """The names that are given, by what they are of."""
        return {role: name for role, name in dataclasses.asdict(self).items() if name is not None}


NO_COLUMNS = Columns()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(ABC):
    """One of what is answered.

    Attributes:
        identifier: unique in its split.
    """

    identifier: str

    @property
    @abstractmethod
    def content(self) -> Sequence[object]:
        """All of it that counts, the right answer too, as JSON holds it."""

    @property
    @abstractmethod
    def normalised(self) -> Hashable:
        """What is asked, without case, spacing and the right answer: equal ones are the same."""

    @property
    def stratum(self) -> str:
        """What a random split keeps in proportion; all alike by default."""
        return ""


E = TypeVar("E", bound=Example)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading(Generic[E]):
    """How rows become examples.

    Attributes:
        read: turns a row and the identifier it has if it brings none into an example; raises
            ``bench.data.rows.RowError`` with every fault of the row.
        columns: the fields that are read, guessed ones too; empty where their names are fixed.
        notices: what was guessed, one sentence each.
    """

    read: Callable[[Row, str], E]
    columns: Columns = NO_COLUMNS
    notices: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked(Generic[E]):
    """A row that a trained model is to answer.

    Attributes:
        example: its content; the right answer in it means nothing where none was given.
        labels: what its answers are called, in the order of the logits.
        answered: whether the right answer was given.
    """

    example: E
    labels: Sequence[str]
    answered: bool


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """What can be had without a model.

    Attributes:
        name: short, such as ``random``.
        said: in a sentence, such as ``guessing``.
        probabilities: of giving each answer, per scored example: ``(examples, answers)``.
    """

    name: str
    said: str
    probabilities: npt.NDArray[np.float64]

    def outcome(self, right: Sequence[int]) -> Outcome:
        """What is to be expected of it.

        Args:
            right: right answer per scored example.
        """
        return Outcome.expected(self.probabilities, np.asarray(right, dtype=np.int64))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Some examples, padded.

    Attributes:
        inputs: keyword arguments of a backbone, each ``(sequences, tokens)``.
        sequences: place in the split of each sequence.
        example: which example of the batch each sequence belongs to.
        place: which of that example's sequences it is.
        answers: right ones, ``(examples,)``.
        rows: place of each example in its split, ``(examples,)``, on the CPU.
        widest: largest number of sequences of an example.
        vectors: what a backbone that learns nothing gives for each sequence, ``(sequences,
            width)``; ``None`` where the backbone is to be run.
    """

    inputs: Inputs
    sequences: Tensor
    example: Tensor
    place: Tensor
    answers: Tensor
    rows: Tensor
    widest: int
    vectors: Tensor | None = None

    @property
    def real_tokens(self) -> int:
        """Tokens of text."""
        return int(self.inputs["attention_mask"].sum())

    @property
    def padded_tokens(self) -> int:
        """Tokens computed."""
        return self.inputs["attention_mask"].numel()

    def parts(self, examples: int) -> Iterator[Batch]:
        """The same examples, so many at a time; padded as they are."""
        for start in range(0, len(self.rows), examples):
            inside = (self.example >= start) & (self.example < start + examples)
            places = inside.nonzero().squeeze(1)
            kept = slice(int(places[0]), int(places[-1]) + 1)  # sequences stand by example
            yield dataclasses.replace(
                self,
                inputs={name: tensor[kept] for name, tensor in self.inputs.items()},
                sequences=self.sequences[kept],
                example=self.example[kept] - start,
                place=self.place[kept],
                answers=self.answers[start : start + examples],
                rows=self.rows[start : start + examples],
                vectors=None if self.vectors is None else self.vectors[kept],
            )

    def to(self, device: device) -> Batch:
        """The same batch on a device."""
        return dataclasses.replace(
            self,
            inputs={name: tensor.to(device) for name, tensor in self.inputs.items()},
            sequences=self.sequences.to(device),
            example=self.example.to(device),
            place=self.place.to(device),
            answers=self.answers.to(device),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoClass:
    """Models of transformers that do a task.

    Attributes:
        name: of the class that chooses among them, such as ``AutoModelForMultipleChoice``.
        grouped: whether they take ``(examples, sequences, tokens)`` instead of ``(sequences,
            tokens)``.
    """

    name: str
    grouped: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[E]):
    """One kind of thing to be learnt. A frozen dataclass; see the module.

    The harness reads, tokenises, trains, measures and reports the same way for all tasks: an
    example is one or more sequences, a head makes scores of the vector of each, and the scores of
    an example become one logit per answer. The largest is the prediction, its softmax the
    confidence.

    Attributes:
        name: how people call it.
        words: how reports speak of it.
        reads: which fields its rows have, in words.
        metrics: names in ``bench.metrics.METRICS`` of what its answers are judged by.
        auto_class: what transformers has for it, if anything.
    """

    name: ClassVar[str]
    words: ClassVar[Words]
    reads: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    auto_class: ClassVar[AutoClass | None] = None

    @classmethod
    @abstractmethod
    def recognises(cls, fields: Collection[str], columns: Columns) -> bool:
        """Whether rows with these fields look like rows of this task."""

    @classmethod
    @abstractmethod
    def reading(cls, fields: Collection[str], columns: Columns) -> Reading[E]:
        """How rows with these fields are read.

        Raises:
            DataError: a column that was given does not exist, or none can be found.
        """

    @classmethod
    @abstractmethod
    def settled(cls, splits: Mapping[str, Sequence[E]]) -> Task[E]:
        """The task as the training data settle it.

        Args:
            splits: examples of ``train``, ``validation`` and ``test``, uncut.

        Raises:
            DataError: they cannot be learnt or answered, with every reason.
        """

    @abstractmethod
    def asking(self, fields: Collection[str], columns: Columns) -> Callable[[Row, str], Asked[E]]:
        """How rows are read that may lack the right answer; as ``Reading.read`` otherwise.

        Args:
            fields: of the rows.
            columns: as those of the training data were read.

        Raises:
            DataError: a field that is needed is not there.
        """

    @abstractmethod
    def made_up(self, text: Callable[[int], str]) -> Sequence[E]:
        """Examples without meaning, of unequal length, on which two models are compared.

        Args:
            text: makes a text of so many tokens.
        """

    @abstractmethod
    def specimen(self) -> E:
        """An example that people understand, for programs that are shown."""

    def remarks(self, splits: Mapping[str, Sequence[E]]) -> Iterable[str]:
        """What is odd about the examples as they are used, one sentence each."""
        return ()

    @abstractmethod
    def answer(self, example: E) -> int:
        """The right answer: its column in the logits."""

    @abstractmethod
    def segments(self, example: E) -> Sequence[Segments]:
        """The texts of each sequence of an example, for all examples as many per sequence."""

    @abstractmethod
    def described(self, example: E) -> tuple[str, Sequence[str]]:
        """The example in words: what is asked, and the text of each answer."""

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """What makes scores of the pooled vectors, ``(sequences, width)``, in float32.

        Its weights are drawn from torch's global generator, which the harness has seeded.
        """

    @abstractmethod
    def logits(self, scores: Tensor, batch: Batch) -> Tensor:
        """One logit per example and answer; ``-inf`` where an example has fewer answers.

        The logits of an example are the scores of its sequences, one after another.

        Args:
            scores: what the head gave, a row per sequence.
            batch: which sequences are whose.
        """

    @abstractmethod
    def loss(self, logits: Tensor, answers: Tensor) -> Tensor:
        """What training lowers, summed over the examples.

        Args:
            logits: ``(examples, answers)``.
            answers: right ones, ``(examples,)``.
        """

    @abstractmethod
    def baselines(self, train: Sequence[E], scored: Sequence[E]) -> tuple[Baseline, ...]:
        """Baselines of the ``scored`` examples, learnt on ``train``; the first is ``GUESSING``."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the data have settled, by field; ``task_of`` makes the task of it again."""
        return dataclasses.asdict(self)

    @property
    def identity(self) -> dict[str, Any]:
        """Name and fields: equal identities are the same task."""
        return {"task": self.name, **self.settings}


AnyTask: TypeAlias = Task[Any]


GROUP = "paretune.tasks"


@cache
def installed_tasks() -> Plugins[type[AnyTask]]:
    """The tasks of all installed distributions, imported once per process."""
    return load_plugins(GROUP, check_task)


def known_task(name: str) -> type[AnyTask]:
    """The installed task of that name.

    Raises:
        StudyError: there is none.
    """
    found = installed_tasks().found
    if name not in found:
        raise StudyError(f"task {name!r}: no such task; installed are {', '.join(found)}")
    return found[name]


def task_of(name: str, settings: Mapping[str, Any]) -> AnyTask:
    """The task that a record tells.

    Args:
        name: of the task.
        settings: its fields; what was a tuple may have become a list.

    Raises:
        StudyError: it is not installed, or has other fields.
    """
    kind = known_task(name)
    fields = {field: tuple(value) if isinstance(value, list) else value
              for field, value in settings.items()}  # fmt: skip
    try:
        return kind(**fields)
    except TypeError as error:
        raise StudyError(f"the installed task {name} has other fields: {error}") from error


def check_task(name: str, loaded: object) -> type[AnyTask]:
    """Checks what can be checked without data.

    Raises:
        PluginError: ``loaded`` is not a task class that keeps the contract.
    """
    kind: type[AnyTask] = check_class(name, loaded, Task)
    if not isinstance(getattr(kind, "words", None), Words):
        raise PluginError(name, f"{kind.__name__}.words must be bench.task.Words")
    if not isinstance(getattr(kind, "reads", None), str):
        raise PluginError(name, f"{kind.__name__}.reads must say which fields its rows have")
    metrics = getattr(kind, "metrics", ())
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        known = ", ".join(METRICS)
        raise PluginError(name, f"{kind.__name__}.metrics must be some of {known}")
    return kind
