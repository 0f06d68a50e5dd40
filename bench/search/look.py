"""What a look at a cluster has brought home, before it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.search.findings import Place


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
        facts: what ``bench.search.probe`` has found there; ``None`` without an answer.
        silent: why there is no answer.
        is_leaving: whether the node is going, so that nothing will run there.
        arrived: whether what it wrote to the results' folder has reached the driver.
        skew: of its clock, ``None`` if it was not asked.
    """

    place: Place
    identity: str = ""
    resources: Mapping[str, float]
    facts: Mapping[str, Any] | None = None
    silent: str | None = None
    is_leaving: bool = False
    arrived: bool = False
    skew: Skew | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
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
