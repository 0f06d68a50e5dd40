"""How many trials a cluster can run at a time, and how many it can run now."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import ray

from bench.cluster.nodes import Node
from bench.errors import StudyError
from bench.study.run_options import AUTO, RunOptions

LOOK_SECONDS = 5.0
"""After so long a joined cluster is asked again what nodes it has."""

MANY = 10_000
"""Trials at a time that no cluster has room for."""

ACCELERATOR = "accelerator_type:"
"""Begins the resource by which Ray tells the kind of a node's accelerators."""


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Where trials run.

    Attributes:
        cpus: cores per trial.
        gpus: accelerators per trial.
        count: trials at a time, on the nodes that were there or could come.
        device_shared: whether a trial may meet another on its device.
        memory: bytes for each trial at a time, where every node shares out what Ray found on it.
        nodes: what Ray found on each, and what those have that may come.
        workers: most trials at a time, as asked.
        kind: the one kind of accelerator to run on, by Ray's name of it; ``None`` for any.
        look: tells the nodes as they are now; ``None`` where they stay as they are.
    """

    cpus: float
    gpus: float
    count: int
    device_shared: bool
    memory: int | None = None
    nodes: tuple[Node, ...] = ()
    workers: int | None = None
    kind: str | None = None
    look: Callable[[], Sequence[Node]] | None = field(default=None, compare=False, repr=False)

    @property
    def resources(self) -> dict[str, float]:
        """As Ray wants them."""
        asked = {"CPU": self.cpus, "GPU": self.gpus} if self.gpus else {"CPU": self.cpus}
        return asked | ({self.kind: 0.001} if self.kind else {})

    @property
    def alone(self) -> Slots:
        """The same machines where every trial has a device to itself: whole GPUs, or a machine.

        A trial is given so many cores that no machine has room for a second one. Of several kinds
        of accelerators the one is taken that runs most trials at a time, so that times compare.
        """
        gpus = float(math.ceil(self.gpus))
        cores = [node.get("CPU", 0.0) for node in self.nodes]
        whole = min((count for count in cores if count > max(cores) / 2), default=self.cpus)
        cpus = self.cpus if gpus else whole
        kind = _commonest(self.nodes, cpus, gpus) if gpus else None
        nodes = tuple(node for node in self.nodes if kind is None or kind in node)
        per_node = [_fit(node, cpus, gpus) for node in nodes]
        count = min(max(1, sum(per_node)), self.count)
        return replace(
            self,
            cpus=cpus,
            gpus=gpus,
            count=count,
            device_shared=False,
            memory=_memory(nodes, per_node, count),
            nodes=nodes,
            kind=kind,
        )

    @property
    def most(self) -> int:
        """Trials at a time that are never exceeded, whatever nodes are added."""
        if self.look is None:
            return self.count
        return MANY if self.workers is None else self.workers

    def count_on(self, nodes: Sequence[Node]) -> int:
        """Trials at a time on nodes as they are now; one, which waits, where there is no room.

        Where trials have a machine to themselves, a larger one that was added takes one too.
        """
        room = [
            _fit(node, self.cpus, self.gpus) for node in nodes if not self.kind or self.kind in node
        ]
        if not self.gpus and not self.device_shared:
            room = [min(1, fit) for fit in room]
        return min(max(1, sum(room)), self.most)


class Capacity:
    """How many trials may run at a time now; asks again every few seconds where nodes come and go.

    Args:
        slots: what a trial is given.
        clock: monotonic, in seconds.
    """

    def __init__(self, slots: Slots, clock: Callable[[], float] = time.perf_counter) -> None:
        self._slots = slots
        self._clock = clock
        self._count = slots.count
        self._looked = clock()

    @property
    def count(self) -> int:
        """Trials at a time."""
        slots, now = self._slots, self._clock()
        if slots.look is not None and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._count = slots.count_on(slots.look())
        return self._count


def slots(options: RunOptions, nodes: Sequence[Node]) -> Slots:
    """How many trials fit on the nodes at a time.

    Default: one accelerator per trial where there is any, or may come, else one core.

    Args:
        options: what a trial is given.
        nodes: those that are there and those that may come.

    Raises:
        StudyError: no node is large enough.
    """
    has_gpus = any(node.get("GPU", 0) for node in nodes)
    gpus = (
        float(has_gpus)
        if options.gpus_per_trial is None or options.gpus_per_trial == AUTO
        else float(options.gpus_per_trial)
    )
    cpus = options.cpus_per_trial if options.cpus_per_trial is not None else 1.0
    per_node = [_fit(node, cpus, gpus) for node in nodes]
    if not sum(per_node):
        most = {
            kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")
        }
        raise StudyError(
            f"a trial asks for {cpus:g} CPUs and {gpus:g} GPUs, but the largest node has"
            f" {most['CPU']:g} CPUs and {most['GPU']:g} GPUs;"
            " lower --cpus-per-trial or --gpus-per-trial"
        )
    count = min(sum(per_node), options.workers or sum(per_node))
    shared = gpus % 1 > 0 if gpus else max(per_node) > 1
    return Slots(
        cpus=cpus,
        gpus=gpus,
        count=count,
        device_shared=shared and count > 1,
        memory=_memory(nodes, per_node, count),
        nodes=tuple(nodes),
        workers=options.workers,
    )


def meets_others(cpus: float, gpus: float) -> bool:
    """Whether a trial on this worker's node may share its device, as the node has room for two."""
    here = ray.get_runtime_context().get_node_id()
    node: Node = next((node["Resources"] for node in ray.nodes() if node["NodeID"] == here), {})
    return (not gpus or gpus % 1 > 0) and _fit(node, cpus, gpus) > 1


def _commonest(nodes: Sequence[Node], cpus: float, gpus: float) -> str | None:
    """The kind of accelerator that runs most trials at a time; ``None`` unless there are several.

    Of kinds that run as many, the first by name.
    """
    room: Counter[str] = Counter()
    for node in nodes:
        room.update({name: _fit(node, cpus, gpus) for name in node if name.startswith(ACCELERATOR)})
    return min(room, key=lambda kind: (-room[kind], kind)) if len(room) > 1 else None


def _memory(nodes: Sequence[Node], per_node: list[int], count: int) -> int | None:
    """What a trial may use, if the node where it finds least has as many as fit."""
    shares = [
        node["memory"] / min(fit, count)
        for node, fit in zip(nodes, per_node, strict=True)
        if fit and "memory" in node
    ]
    return int(min(shares)) if shares else None


def _fit(node: Node, cpus: float, gpus: float) -> int:
    room = [node.get(kind, 0) / asked for kind, asked in (("CPU", cpus), ("GPU", gpus)) if asked]
    return int(min(room) + 1e-9) if room else 0
