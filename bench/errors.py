"""The exceptions of paretune.

    PareTuneError
    ├── InputError          what a person gave cannot be used; the command exits with code 2
    │   ├── DataError       a dataset: every fault as ``file:line: field: what``
    │   ├── ModelError      a model that cannot be found, loaded or trusted
    │   ├── StudyError      a study file, an option, a strategy or knob name
    │   ├── ClusterError    a cluster that cannot be reached, or does not let in
    │   ├── LedgerError     a run folder that is not one, or that another command is using
    │   ├── ExportRefused   a trial that cannot leave its run in the form that was asked for
    │   └── ExportError     an export that is none, or that cannot be loaded here
    ├── PluginError         a strategy plug-in that does not import or breaks the contract
    ├── StorageError        the run folder cannot be written: the run stops, nothing is lost
    ├── TrialRefused        this strategy cannot adapt this model: the trial is skipped, not failed
    └── TrialDiverged       the loss of a trial is no longer a finite number

Every exception passes its arguments to ``Exception.__init__`` unchanged, so that it survives
pickling on its way from a worker, and builds its sentence in ``__str__``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class PareTuneError(Exception):
    """The family: whoever wants to catch everything of ours catches this."""


class InputError(PareTuneError):
    """Something a person gave cannot be used. Lists everything wrong, not just the first fault.

    Args:
        problems: one sentence per fault, each with the rule, the value and the way out.
    """

    title = "cannot start"

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.title}: {self.problems[0]}"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        return f"{self.title}: {len(self.problems)} problems\n{lines}"


class DataError(InputError):
    """A dataset with faults."""

    title = "the dataset cannot be used"


class ModelError(InputError):
    """A model that cannot be found, loaded or trusted."""

    title = "the model cannot be used"


class StudyError(InputError):
    """A study file, an option, a strategy or a knob that does not exist or does not fit."""

    title = "the study cannot be run"


class ClusterError(InputError):
    """A cluster that cannot be reached, does not let in, or lets in everyone."""

    title = "the cluster cannot be used"


class LedgerError(InputError):
    """A run folder that is none, or that another command is using."""

    title = "the run folder cannot be used"


class ExportRefused(InputError):
    """A trial that cannot leave its run, or not in the form or to the place asked for."""

    title = "nothing is exported"


class ExportError(InputError):
    """An export that is none, or that cannot be loaded here."""

    title = "the export cannot be used"


class StorageError(PareTuneError):
    """A file of the run folder cannot be written; the run stops and can be taken up again.

    Args:
        path: the file.
        size: bytes that were to be written.
        free: bytes that are free there; ``None`` if that cannot be told.
        reason: the system's.
    """

    def __init__(self, path: str, size: int, free: int | None, reason: str) -> None:
        super().__init__(path, size, free, reason)
        self.path = path
        self.size = size
        self.free = free
        self.reason = reason

    def __str__(self) -> str:
        room = "" if self.free is None else f", {self.free} bytes are free there"
        return (
            f"stopped: {self.path} ({self.size} bytes) cannot be written: {self.reason}{room};"
            " what has ended is kept: make room and run the same command again"
        )


class PluginError(PareTuneError):
    """A plug-in of an installed distribution that cannot be used; the others still run."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"plug-in {self.name!r} was left out: {self.reason}"


class TrialRefused(PareTuneError):
    """A strategy that cannot adapt the model at hand.

    Args:
        strategy: the strategy's name.
        reason: why it cannot, in a sentence.
    """

    def __init__(self, strategy: str, reason: str) -> None:
        super().__init__(strategy, reason)
        self.strategy = strategy
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.strategy} refuses this model: {self.reason}"


class TrialDiverged(PareTuneError):
    """The loss is no longer a finite number.

    Args:
        step: optimizer steps done before, from 0.
        loss: the value that was met.
    """

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(step, loss)
        self.step = step
        self.loss = loss

    def __str__(self) -> str:
        return f"the loss became {self.loss} at step {self.step}"


class Faults:
    """Gathers what is wrong in several places, so that it is told at once.

    Attributes:
        problems: one sentence per fault.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def add(self, *problems: str) -> None:
        """Notes faults."""
        self.problems.extend(problems)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Notes the faults of an error that is raised inside, which ends there."""
        try:
            yield
        except InputError as error:
            self.add(*error.problems)

    def raise_any(self, kind: type[InputError] = InputError) -> None:
        """Raises one error with all faults, if there are any."""
        if self.problems:
            raise kind(*self.problems)


def summary(error: Exception) -> str:
    """One line: the error's first, and its next where that only announces it, as compilers' do."""
    lines = [line for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines[0].endswith(":") and len(lines) > 1 else lines[0].strip()
