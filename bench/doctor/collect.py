"""Put a question to every node at the same time, and wait no longer than is sensible."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import bench.training.speed.toolchain
from bench.doctor import probe
from bench.doctor.findings import NodeName


@dataclass(frozen=True, kw_only=True)
class Skew:
    """How far a clock is ahead of the driver's.

    Attributes:
        seconds: negative if it is behind.
        doubt: half of the time that question and answer took, in seconds.
    """

    seconds: float
    doubt: float


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node and what it has said.

    Attributes:
        place: which one.
        identity: Ray's name for it.
        resources: what Ray shares out there.
        facts: what ``bench.doctor.probe`` has found there; ``None`` without an answer.
        silent: why there is no answer.
        is_leaving: whether the node is going, so that nothing will run there.
        arrived: whether what it wrote to the results' folder has reached the driver.
        skew: of its clock, ``None`` if it was not asked.
    """

    place: NodeName
    identity: str = ""
    resources: Mapping[str, float]
    facts: Mapping[str, Any] | None = None
    silent: str | None = None
    is_leaving: bool = False
    arrived: bool = False
    skew: Skew | None = None


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All that was found.

    Attributes:
        here: what the probe has found in the driver's process.
        sources: text per file of the driver's code, by package or module.
        nodes: those alive; the driver's machine alone where there is no cluster.
        folder: where results go.
        unwritable: why the driver cannot write there; ``None`` if it can.
        has_token: whether the driver shows a token to clusters.
        weights: bytes of the model's files, 0 if unknown.
        compiles: whether trials are compiled.
        on_gpus: whether trials are given GPUs where there are any.
    """

    here: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, str]]
    nodes: Sequence[Node]
    folder: str
    unwritable: str | None
    has_token: bool
    weights: int
    compiles: bool = False
    on_gpus: bool = True

    @property
    def is_cluster(self) -> bool:
        """Whether there are nodes of Ray's, and not this machine alone."""
        return any(node.identity for node in self.nodes)

    @property
    def workers(self) -> list[tuple[Node, Mapping[str, Any]]]:
        """Nodes on which trials would run, with what they have said."""
        asked = [(node, node.facts) for node in self.nodes if node.facts]
        with_gpus = [(node, facts) for node, facts in asked if node.resources.get("GPU")]
        if with_gpus and self.on_gpus:
            return with_gpus
        return [(node, facts) for node, facts in asked if node.resources.get("CPU")]


PATIENCE = 30.0
"""Seconds for a node's answer; where Ray starts its first worker on a busy machine it takes some.
"""
GOODBYE_PATIENCE = 10.0
SHOWN_ID = 8


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """What to ask: the same of all nodes, but for the names of their files.

    Attributes:
        packages: whose versions are asked for.
        sources: text per file of the code that counts, by package or module.
        folder: where results go: of a path the part that exists.
        toolchain: a program that tells whether torch can compile; ``None`` does not ask.
        mark: how the names of its files begin.
    """

    packages: Sequence[str]
    sources: Mapping[str, Mapping[str, str]]
    folder: str
    toolchain: str | None = None
    mark: str = field(default_factory=lambda: f".doctor-{uuid.uuid4().hex}")

    @classmethod
    def about(
        cls,
        packages: Sequence[str],
        roots: Sequence[str],
        folder: str,
        *,
        compiles: bool = False,
    ) -> Inquiry:
        """Asks about a folder, about packages, and about code as this process would import it.

        Args:
            packages: whose versions are asked for.
            roots: packages and modules whose code counts.
            folder: where results go.
            compiles: ask whether torch can compile, too.
        """
        sources = {
            root: {name: text or "" for name, text in (probe.code_of(root, {}) or {}).items()}
            for root in roots
        }
        return cls(
            packages=packages,
            sources=sources,
            folder=_existing(folder),
            toolchain=inspect.getsource(bench.training.speed.toolchain) if compiles else None,
        )

    def to(self, name: str, *, gpus: bool) -> dict[str, Any]:
        """The question to one node, see ``bench.doctor.probe``."""
        return {
            **self.about_code(),
            "gpus": gpus,
            "toolchain": self.toolchain,
            "folder": self.folder,
            "content": self._content,
            "token": f"{self.mark}.tmp",
            "own": self._own(name),
        }

    def about_code(self) -> dict[str, Any]:
        """The question without files, GPUs and compilers."""
        hashes = {
            name: hashlib.sha256(text.encode()).hexdigest()
            for files in self.sources.values()
            for name, text in files.items()
        }
        packages, roots = list(self.packages), list(self.sources)
        about = {"packages": packages, "roots": roots, "hashes": hashes}
        return {**about, "gpus": False, "toolchain": None, "folder": None}

    @contextlib.contextmanager
    def token(self) -> Iterator[str | None]:
        """Leaves a file that nodes are to find, for as long as the context lasts.

        Yields:
            Why that cannot be done; ``None`` if it was.
        """
        path = probe.place_of(self.folder) / f"{self.mark}.tmp"
        unwritable = None
        try:
            path.write_bytes(self._content)
        except Exception as error:  # noqa: BLE001 - stores outside file systems raise what they like
            unwritable = probe.told(error)
        try:
            yield unwritable
        finally:
            probe.remove(path)

    def has_arrived(self, name: str) -> bool:
        """Whether a node's file is here; it is taken away then."""
        path = probe.place_of(self.folder) / self._own(name)
        arrived = probe.read(path) == self._content
        probe.remove(path)
        return arrived

    @property
    def _content(self) -> bytes:
        return f"paretune doctor {self.mark}\n".encode()

    def _own(self, name: str) -> str:
        return f"{self.mark}-{name}.tmp"


def _existing(folder: str) -> str:
    """The folder, or the nearest one above that exists, in which it would be made."""
    if "://" in folder:
        return folder
    path = Path(folder)
    return str(next(above for above in (path, *path.parents) if above.is_dir()))


def alive() -> list[Node]:
    """The nodes of the cluster that has been joined."""
    return [
        Node(
            place=NodeName(address=node["NodeManagerAddress"], node=node["NodeID"][:SHOWN_ID]),
            identity=node["NodeID"],
            resources=node["Resources"],
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def ask(nodes: Iterable[Node], question: Inquiry, patience: float) -> list[Node]:
    """The nodes with what they have said, or why they have said nothing.

    Args:
        nodes: as ``alive`` has found them.
        question: its token lies in the folder.
        patience: seconds to wait for all of them.
    """
    known = {node.identity: node for node in nodes}
    asked = {
        name: question.to(name, gpus=node.resources.get("GPU", 0) > 0)
        for name, node in known.items()
    }
    try:
        replies = _call(probe.probe, asked, patience)
        heard = {name: _heard(node, replies[name], question) for name, node in known.items()}
    finally:
        for name in known:
            question.has_arrived(name)  # takes away what came late
    answered = {name: asked[name] for name, node in heard.items() if node.facts}
    for name, reply in _call(probe.farewell, answered, GOODBYE_PATIENCE).items():
        if reply.fault is None:
            heard[name] = replace(heard[name], skew=reply.skew)
    return list(heard.values())


@dataclass(frozen=True, kw_only=True)
class _Reply:
    """What came back from a node.

    Attributes:
        value: of the function.
        fault: why there is none.
        sent: when it was asked, by the driver's clock, in nanoseconds; likewise ``arrived``.
        is_leaving: whether the node takes no work any more.
    """

    value: Any = None
    fault: str | None = None
    sent: int = 0
    arrived: int = 0
    is_leaving: bool = False

    @property
    def skew(self) -> Skew:
        """Of a clock that was read half-way between question and answer, if all went evenly."""
        middle = (self.sent + self.arrived) / 2
        doubt = (self.arrived - self.sent) / 2
        return Skew(seconds=(self.value - middle) / 1e9, doubt=doubt / 1e9)


def _heard(node: Node, reply: _Reply, question: Inquiry) -> Node:
    if reply.fault is not None:
        return replace(node, silent=reply.fault, is_leaving=reply.is_leaving)
    return replace(node, facts=reply.value, arrived=question.has_arrived(node.identity))


def _call(
    function: Callable[[dict[str, Any]], Any],
    questions: Mapping[str, dict[str, Any]],
    patience: float,
) -> dict[str, _Reply]:
    """Calls a function of the probe on every node at the same time."""
    ray.cloudpickle.register_pickle_by_value(probe)
    try:
        task = ray.remote(num_cpus=0, max_retries=0)(function)
        sent, names = {}, {}
        for name, question in questions.items():
            pinned = NodeAffinitySchedulingStrategy(name, soft=False)
            sent[name] = time.time_ns()
            names[task.options(scheduling_strategy=pinned).remote(question)] = name
    finally:
        ray.cloudpickle.unregister_pickle_by_value(probe)
    replies = {}
    end = time.monotonic() + patience
    pending = list(names)
    while pending and (left := end - time.monotonic()) > 0:
        ready, pending = ray.wait(pending, num_returns=1, timeout=left)
        for answer in ready:
            name = names[answer]
            replies[name] = _taken(answer, name, sent[name])
    for answer in pending:
        ray.cancel(answer, force=True)
        replies[names[answer]] = _Reply(fault=f"none within {patience:.0f} s")
    return replies


def _taken(answer: Any, name: str, sent: int) -> _Reply:
    arrived = time.time_ns()
    try:
        return _Reply(value=ray.get(answer), sent=sent, arrived=arrived)
    except RayError as error:
        lost = isinstance(error, TaskUnschedulableError) or name not in {
            node.identity for node in alive()
        }
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        return _Reply(fault=reason.strip(), is_leaving=lost)
