"""How small a part of a GPU a trial may have: measured, then worked out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import ray

from bench.cluster.nodes import present
from bench.cluster.slots import ACCELERATOR, Slots, slots
from bench.data.tokens import TokenSplit
from bench.errors import StudyError, TrialRefused
from bench.pretrained.shared_weights import Weights
from bench.records.scrub import scrub
from bench.records.spec import TrialSpec
from bench.space import LEARNING_RATE, Choice, Value
from bench.study.arm import Arm
from bench.study.experiment import Experiment
from bench.study.run_options import AUTO, RunOptions
from bench.training.loop import is_out_of_memory
from bench.training.measure import device_name
from bench.training.rehearsal import device_memory, peak_bytes
from bench.tune.plan import left_by_arm
from bench.tune.worker import WorkerSetup, worker_setup

MARGIN = 1.25
"""Over the measured peak: the allocator's gaps, and test questions longer than those measured."""

MOST_FORMS = 8
"""Combinations of an arm's choices that are measured; of more, the first."""

SAYS = f"--gpus-per-trial {AUTO}"
"""Begins every notice of a choice."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What was measured on one device.

    Attributes:
        device: its name.
        total: its bytes.
        context: bytes that a process takes besides its tensors.
        peaks: bytes by arm; ``None`` for one that did not fit or cannot be told.
        refused: arms that cannot adapt this model, or failed, and need nothing.
    """

    device: str
    total: int
    context: int
    peaks: Mapping[str, int | None]
    refused: Mapping[str, str]

    @property
    def fits(self) -> int:
        """Trials of the hungriest arm that the memory holds at a time; 1 at least."""
        if None in self.peaks.values():
            return 1
        peak = max((peak for peak in self.peaks.values() if peak is not None), default=0)
        return max(1, int(self.total // max(1, math.ceil(MARGIN * peak) + self.context)))

    def said(self) -> str:
        """The measurement in words."""
        lost = [arm for arm, peak in self.peaks.items() if peak is None]
        if lost:
            return f"{', '.join(lost)} takes all of {self.device}, or cannot be measured"
        arm, peak = max(self.peaks.items(), key=lambda item: item[1] or 0, default=("no arm", 0))
        return (
            f"{arm} takes most, {_size(peak or 0)} of {_size(self.total)} on {self.device}, and a"
            f" process {_size(self.context)} besides; with {MARGIN - 1:.0%} to spare {self.fits}"
            f" fit{'s' if self.fits == 1 else ''}"
        )


@dataclass(frozen=True, kw_only=True)
class Fraction:
    """How many trials share a device, and what decided.

    Attributes:
        trials: on a device at a time.
        reason: in words.
    """

    trials: int
    reason: str

    @property
    def gpus(self) -> float:
        """Of a trial. Ray counts in ten-thousandths."""
        return math.floor(10_000 / self.trials) / 10_000


def fraction(needs: Sequence[Need], found: Slots, left: int) -> Fraction:
    """The largest number of trials per device that memory, cores and work allow.

    Args:
        needs: measurements, one per kind of device.
        found: where trials run, with whole devices.
        left: trials to run.
    """
    tightest = min(needs, key=lambda need: need.fits)
    holders = [node for node in found.nodes if node.get("GPU")]
    per_gpu = min(node.get("CPU", 0.0) / node["GPU"] for node in holders)
    devices = sum(node["GPU"] for node in holders)
    wanted = min(left, found.workers or left)
    bounds = {
        "memory": tightest.fits,
        f"cores, {per_gpu:g} per GPU": int(per_gpu / found.cpus + 1e-9) if found.cpus else left,
        f"{wanted} trials for {devices:g} GPUs": math.ceil(wanted / devices),
    }
    decisive = min(bounds, key=lambda name: bounds[name])
    trials = max(1, bounds[decisive])
    return Fraction(
        trials=trials,
        reason=f"{SAYS}: {tightest.said()}. {trials} per GPU at a time; what decides: {decisive}",
    )


def settle(
    prepared: Experiment,
    options: RunOptions,
    found: Slots,
    weights: Weights,
    tokens: tuple[TokenSplit, TokenSplit],
) -> tuple[Slots, str | None]:
    """Makes of ``auto`` a number, on a Ray that has been started.

    Args:
        prepared: the study.
        options: as asked.
        found: where trials run, with whole devices.
        weights: of the pretrained model.
        tokens: training and validation questions.

    Returns:
        Where trials run, and what was measured and chosen; the same as before, and ``None``, where
        nothing was to be chosen: it was not asked for, there is no GPU, or no trial is left.

    Raises:
        StudyError: it cannot be measured, or the nodes that had room are gone.
    """
    left = sum(left_by_arm(prepared).values())
    if options.gpus_per_trial != AUTO or not found.gpus or not left:
        return found, None
    chosen = fraction(measure(prepared, found, weights, tokens), found, left)
    nodes = found.look() if found.look else found.nodes
    settled = slots(options.model_copy(update={"gpus_per_trial": chosen.gpus}), nodes)
    return replace(settled, look=found.look), chosen.reason


def measure(
    prepared: Experiment, found: Slots, weights: Weights, tokens: tuple[TokenSplit, TokenSplit]
) -> list[Need]:
    """Measures every arm on a device of each kind that is there.

    Raises:
        StudyError: the worker that measures fails or dies.
    """
    setup = ray.put(worker_setup(prepared, weights, *tokens, found))
    specs = {arm.name: heaviest(prepared, arm) for arm in prepared.study.arms}
    kinds = sorted({name for node in present() for name in node if name.startswith(ACCELERATOR)})
    task = ray.remote(_measure)
    running = [
        task.options(
            num_cpus=found.cpus,
            num_gpus=found.gpus,
            resources={kind: 0.001} if kind else None,
            max_retries=2,
        ).remote(setup, specs)
        for kind in (kinds if len(kinds) > 1 else [None])
    ]
    try:
        return list(ray.get(running))
    except ray.exceptions.RayError as error:
        reason = scrub((str(error).strip().splitlines() or [type(error).__name__])[-1])
        raise StudyError(
            f"{SAYS}: what a trial takes could not be measured: {reason}; say a number, such as 0.5"
        ) from error


def heaviest(prepared: Experiment, arm: Arm) -> list[TrialSpec]:
    """The configurations of an arm that take most memory: numbers at their high ends, each choice.

    The learning rate is the first start's.
    """
    knobs = arm.space.knobs
    choices = {name: d.options for name, d in knobs.items() if isinstance(d, Choice)}
    high: dict[str, Value] = {
        name: dimension.ends[1]
        for name, dimension in knobs.items()
        if name not in choices and name != LEARNING_RATE
    }
    start = arm.complete(arm.space.starts[0] if arm.space.starts else {})
    forms: Iterable[tuple[Value, ...]] = itertools.product(*choices.values())
    return [
        prepared.spec(arm, 0, {**start, **high, **dict(zip(choices, form, strict=True))})
        for form in itertools.islice(forms, MOST_FORMS)
    ]


def _measure(setup: WorkerSetup, specs: Mapping[str, Sequence[TrialSpec]]) -> Need:
    """Runs on a worker."""
    bench = setup.workbench()
    peaks: dict[str, int | None] = {}
    refused: dict[str, str] = {}
    for arm, forms in specs.items():
        for spec in forms:
            try:
                peak = peak_bytes(spec, bench)
                known = peaks.get(arm, 0)
                peaks[arm] = None if peak is None or known is None else max(peak, known)
            except TrialRefused as refusal:
                refused[arm] = refusal.reason
            except Exception as error:  # noqa: BLE001 - the edge of a trial
                if is_out_of_memory(error):
                    peaks[arm] = None
                else:
                    refused[arm] = scrub(f"{type(error).__name__}: {error}")
    total, context = device_memory(bench.device)
    return Need(
        device=device_name(bench.device),
        total=total,
        context=context,
        peaks=peaks,
        refused=refused,
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
