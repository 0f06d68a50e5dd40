"""The contract of a task: what its rows say, how a model answers them, and which are installed.

A task is a frozen dataclass, as a strategy is. Its fields are what the training data settle, such
as the names of labels, so that an instance is all that a worker needs to know of it.
"""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bench.errors import PluginError, StudyError
from bench.metrics import METRICS, Outcome
from bench.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.batches import Batch

Row: TypeAlias = Mapping[str, object]
"""A row as it was found, by field."""

Segments: TypeAlias = tuple[str, ...]
"""The text of one sequence, or the two texts of a pair."""

GUESSING = "random"
"""Name of the baseline that every task has: what can be expected of answering blindly."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """How reports speak of a task.

    Attributes:
        example: one of what is answered, such as ``question``.
        examples: several.
        answers: what stands over the shares of the answers, such as ``share of each label``.
    """

    example: str
    examples: str
    answers: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the fields to read, where a person gave them; ``None`` leaves it to the task."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


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
            ``bench.rows.RowError`` with every fault of the row.
        notices: what was guessed, one sentence each.
    """

    read: Callable[[Row, str], E]
    notices: tuple[str, ...] = ()


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
    """

    name: ClassVar[str]
    words: ClassVar[Words]
    reads: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

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

    @classmethod
    def of_labels(cls, labels: tuple[str, ...]) -> Task[E]:
        """The task whose answers have these names, as the record of a study tells them.

        To be overridden where the data settle anything.
        """
        return cls()

    def remarks(self, splits: Mapping[str, Sequence[E]]) -> Iterable[str]:
        """What is odd about the examples as they are used, one sentence each."""
        return ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the answers; empty where each example brings its own."""
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
    def identity(self) -> dict[str, Any]:
        """Name and fields: equal identities are the same task."""
        return {"task": self.name, **dataclasses.asdict(self)}


AnyTask: TypeAlias = Task[Any]
NO_COLUMNS = Columns()

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


def check_task(name: str, loaded: object) -> type[AnyTask]:
    """Checks what can be checked without data.

    Raises:
        PluginError: ``loaded`` is not a task class that keeps the contract.
    """
    if not (isinstance(loaded, type) and issubclass(loaded, Task)):
        raise PluginError(name, f"{loaded!r} is not a subclass of bench.task.Task")
    if inspect.isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        raise PluginError(name, f"{loaded.__name__} does not define {missing}")
    if getattr(loaded, "name", None) != name:
        raise PluginError(name, f"{loaded.__name__}.name must be {name!r}, the entry point's name")
    if not isinstance(getattr(loaded, "words", None), Words):
        raise PluginError(name, f"{loaded.__name__}.words must be bench.task.Words")
    if not isinstance(getattr(loaded, "reads", None), str):
        raise PluginError(name, f"{loaded.__name__}.reads must say which fields its rows have")
    parameters = loaded.__dict__.get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        raise PluginError(name, f"{loaded.__name__} must be a @dataclass(frozen=True)")
    metrics = getattr(loaded, "metrics", ())
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        known = ", ".join(METRICS)
        raise PluginError(name, f"{loaded.__name__}.metrics must be some of {known}")
    return loaded
