"""The worker process: a Tune trainable that keeps imports, backbone and questions alive."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from ray import tune

from bench.cluster.slots import Slots, meets_others
from bench.data.tokens import TokenSplit
from bench.errors import StorageError
from bench.pretrained.shared_weights import Weights
from bench.records.scrub import scrub
from bench.records.spec import Precision, TrialSpec
from bench.records.trial_record import TestScore
from bench.storage.files import Location, local_copy, storage_error, write_whole
from bench.storage.ledger import Ledger
from bench.study.experiment import Experiment
from bench.training.model import choose_precision
from bench.training.trial import Progress, Trial, score_test
from bench.training.worker_state import Workbench
from bench.units import Duration

SPEC = "spec"
PROGRESS = "progress"
SCORING = "scoring"
SCORE = "score"
STORAGE = "storage"

MALLOPT = {"M_MMAP_THRESHOLD": (-3, 32 << 20), "M_TRIM_THRESHOLD": (-1, (1 << 31) - 1)}
"""Parameters of glibc's ``mallopt``: name to number and value. With these, what a training step
frees stays with the process for the next step; else the kernel takes back, clears and maps the
same memory again and again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerSetup:
    """What a worker needs before its first trial; shipped once per node by the object store.

    Attributes:
        weights: of the pretrained model.
        train: training questions.
        validation: validation questions.
        precision: as asked.
        threads: threads of arithmetic on a CPU.
        use_gpu: whether the worker was given an accelerator.
        device_shared: whether other trials may use the device meanwhile.
        folder: the run folder, reachable from every node.
        memory: bytes that a trial may add to a worker on a CPU; ``None`` is without limit.
        timeout: seconds that a trial may take; ``None`` is without end.
        share: cores and accelerators of a trial where nodes come and go, so that only on its node
            a worker can tell whether it may meet others; ``None`` where that is known before.
    """

    weights: Weights
    train: TokenSplit
    validation: TokenSplit
    precision: Precision
    threads: int
    use_gpu: bool
    device_shared: bool
    folder: Location
    memory: int | None = None
    timeout: float | None = None
    share: tuple[float, float] | None = None

    def workbench(self) -> Workbench:
        """Takes up the backbone and the device."""
        torch.set_num_threads(self.threads)
        device = torch.device("cuda" if self.use_gpu else "cpu")
        return Workbench(
            backbone=self.weights.backbone(),
            train=self.train,
            validation=self.validation,
            device=device,
            precision=choose_precision(self.precision, device),
            device_shared=self.device_shared or (self.share and meets_others(*self.share)) or False,
        )


def worker_setup(
    prepared: Experiment,
    weights: Weights,
    train: TokenSplit,
    validation: TokenSplit,
    slots: Slots,
    timeout: Duration | None = None,
) -> WorkerSetup:
    """What workers of these slots need for a study."""
    return WorkerSetup(
        weights=weights,
        train=train,
        validation=validation,
        precision=prepared.study.file.precision,
        threads=max(1, int(slots.cpus)),
        use_gpu=slots.gpus > 0,
        device_shared=slots.device_shared,
        folder=prepared.ledger.folder.absolute(),
        memory=slots.memory,
        timeout=timeout.seconds if timeout else None,
        share=(slots.cpus, slots.gpus) if slots.look and slots.workers != 1 else None,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scoring:
    """A chosen trial that is to answer the test questions.

    Attributes:
        spec: the trial.
        test: the test questions.
        data: their content hash.
    """

    spec: TrialSpec
    test: TokenSplit
    data: str


class TrialWorker(tune.Trainable):
    """Runs the trials it is given one after the other; one step is one epoch, or one scoring."""

    def setup(self, config: dict[str, Any], setup: WorkerSetup | None = None) -> None:
        """Takes up what lasts, then prepares the first trial."""
        if setup is None:
            raise TypeError("wrap the class with tune.with_parameters(…, setup=…)")
        _keep_freed_memory()
        self._ledger = Ledger(setup.folder)
        self._scratch: Path | None = None
        if not isinstance(setup.folder, Path):
            self._leftovers = tempfile.TemporaryDirectory(prefix="paretune-")
            self._scratch = Path(self._leftovers.name)
        self._timeout = setup.timeout
        self._workbench = setup.workbench()
        if setup.memory is not None and not setup.use_gpu:
            _limit_memory(setup.memory)
        self._trial: Trial | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepares the next trial on what is there already."""
        if self._trial is not None:
            self._trial.close()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Advances the trial by an epoch, or scores a chosen one."""
        if self._trial is None:
            return {SCORE: self._score(), "done": True}
        try:
            with self._watched(self._trial.spec):
                progress: Progress = self._trial.advance()
                self._store(self._trial.spec)
        except StorageError as error:
            return {STORAGE: error, "done": True}
        return {PROGRESS: progress, "done": progress.ended}

    @contextlib.contextmanager
    def _watched(self, spec: TrialSpec) -> Iterator[None]:
        """Ends the process when a trial's time is up, whatever keeps it; first says what did.

        The watch is a thread of C: no code that holds the interpreter can keep it.
        """
        if self._timeout is None:
            yield
            return
        left = max(0.001, self._began + self._timeout - time.perf_counter())
        with self._stack_file(spec) as file:
            faulthandler.dump_traceback_later(left, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()

    @contextlib.contextmanager
    def _stack_file(self, spec: TrialSpec) -> Iterator[TextIO]:
        """Where a process that is ended says what it was doing; it has no time for a store."""
        path = self._ledger.stack(spec.fingerprint)
        if not isinstance(path, Path):
            yield sys.stderr
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            file = os.fdopen(os.open(path, flags), "w", encoding="utf-8")
        except OSError as error:
            raise storage_error(path, 0, error) from error
        with file:
            yield file
        path.unlink(missing_ok=True)

    def _begin(self, config: dict[str, Any]) -> None:
        self._began = time.perf_counter()
        self._trial = None
        self._scoring: Scoring | None = config.get(SCORING)
        spec: TrialSpec | None = config.get(SPEC)
        if spec is not None:
            self._trial = Trial(spec, self._workbench, self._checkpoint(spec))

    def _checkpoint(self, spec: TrialSpec) -> Path:
        """Where a trial writes what it has trained: its place, or here until it has ended."""
        place = self._ledger.checkpoint(spec.fingerprint)
        if isinstance(place, Path):
            return place
        assert self._scratch is not None
        return self._scratch / place.name

    def _store(self, spec: TrialSpec) -> None:
        """Brings what a trial has written on this machine to its place.

        Raises:
            StorageError: it cannot be written there.
        """
        written, place = self._checkpoint(spec), self._ledger.checkpoint(spec.fingerprint)
        if written != place and written.exists():
            write_whole(place, written.read_bytes())
            written.unlink()

    def _score(self) -> TestScore | str:
        """The score, or why there is none."""
        task = self._scoring
        assert task is not None
        checkpoint = self._ledger.checkpoint(task.spec.fingerprint)
        try:
            with self._watched(task.spec), local_copy(checkpoint) as file:
                return score_test(task.spec, self._workbench, file, task.test, task.data)
        except Exception as error:  # noqa: BLE001 - the edge of a trial's second half
            return scrub(f"{type(error).__name__}: {error}")


def _keep_freed_memory() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # a C library other than glibc
    if mallopt is not None:
        for parameter, value in MALLOPT.values():
            mallopt(parameter, value)


def _limit_memory(more: int) -> None:
    """Lets this process take so many bytes beyond what it holds now, and no more.

    What is limited is memory of its own that it may write to, mapped or not: a trial that asks for
    more gets an error, and ends alone. Without a limit the system would kill whatever process it
    likes when the machine has no memory left.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return  # no Linux
    held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = held * 1024 + more
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
