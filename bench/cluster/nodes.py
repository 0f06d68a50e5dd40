"""The nodes of a cluster: those that are there, and those that its autoscaler may add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml
from ray._private.state import state

MONITOR = "monitor.py"
"""The program of Ray that adds and removes nodes."""

UNBOUNDED = 100
"""Nodes of a kind that are reckoned with where there is no limit."""

Node = Mapping[str, float]
"""Amount by resource, such as ``{"CPU": 8.0, "GPU": 1.0}``."""


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """Machines of one kind.

    Attributes:
        resources: of each.
        most: how many there may be.
    """

    resources: Node
    most: int


@dataclass(frozen=True, kw_only=True)
class FleetLimits:
    """How far a cluster may grow.

    Attributes:
        types: of machines that may be added.
        most: nodes besides the head; ``None`` if only the types limit it.
    """

    types: tuple[NodeType, ...] = ()
    most: int | None = None

    def arrivals(self, workers: Sequence[Node]) -> list[Node]:
        """Nodes that may still come, largest first where not all of them may.

        Args:
            workers: nodes that are there, without the head.
        """
        left = UNBOUNDED if self.most is None else max(0, self.most - len(workers))
        found: list[Node] = []
        for kind in sorted(self.types, key=lambda kind: _size(kind.resources), reverse=True):
            here = sum(_size(node) == _size(kind.resources) for node in workers)
            found += [kind.resources] * max(0, kind.most - here)
        return found[:left]


NO_LIMITS = FleetLimits()
"""Of a cluster that nobody makes larger."""


def _size(node: Node) -> tuple[float, float]:
    return node.get("GPU", 0.0), node.get("CPU", 0.0)


def limits_of(config: Mapping[str, Any]) -> FleetLimits:
    """The limits in a cluster file of ``ray up``, after Ray has filled it in."""
    types = config.get("available_node_types") or {}
    most = int(config.get("max_workers") or 0)
    head = config.get("head_node_type")
    return FleetLimits(
        types=tuple(
            NodeType(
                resources={name: float(value) for name, value in kind["resources"].items()},
                most=int(kind.get("max_workers", 0 if name == head else most)),
            )
            for name, kind in types.items()
            if kind.get("resources")
        ),
        most=most,
    )


def limits_here(port: int) -> FleetLimits:
    """The limits of the cluster whose head is this machine.

    Args:
        port: of the cluster's address; tells its autoscaler from those of others.
    """
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        options = dict(
            word.split("=", 1) for word in words if word.startswith("--") and "=" in word
        )
        address, path = options.get("--gcs-address", ""), options.get("--autoscaling-config")
        if not path or not any(word.endswith(MONITOR) for word in words):
            continue
        if address.rpartition(":")[2] == str(port):
            return _read(Path(path).expanduser())
    return NO_LIMITS


def _read(path: Path) -> FleetLimits:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return NO_LIMITS
    return limits_of(config) if isinstance(config, dict) else NO_LIMITS


HEAD = "node:__internal_head__"
"""A resource that the head of a cluster has and no other node."""

HEAD_SECONDS = 60
"""What the head may take to answer; without an answer only what is there counts."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The cluster that this process has joined.

    Attributes:
        limits: how far it may grow.
    """

    limits: FleetLimits = NO_LIMITS

    @property
    def nodes(self) -> list[Node]:
        """What is there now, then what may come."""
        here = present()
        return [*here, *self.limits.arrivals([node for node in here if HEAD not in node])]


def present() -> list[Node]:
    """What Ray found on each node that is there."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def limits() -> FleetLimits:
    """How far the cluster that was joined may grow, as far as its head or Ray can tell."""
    told = getattr(state, "get_cluster_config", lambda: None)()
    if told is not None and told.node_group_configs:
        return FleetLimits(
            types=tuple(
                NodeType(
                    resources={name: float(value) for name, value in group.resources.items()},
                    most=UNBOUNDED if group.max_count < 0 else group.max_count,
                )
                for group in told.node_group_configs
            )
        )
    context = ray.get_runtime_context()
    port = int(context.gcs_address.rpartition(":")[2])
    heads = [node for node in ray.nodes() if node["Alive"] and HEAD in node["Resources"]]
    if any(head["NodeID"] == context.get_node_id() for head in heads):
        return limits_here(port)
    if not heads:
        return NO_LIMITS
    task = ray.remote(limits_here).options(num_cpus=0, resources={HEAD: 0.001}, max_retries=0)
    try:
        return ray.get(task.remote(port), timeout=HEAD_SECONDS)
    except ray.exceptions.RayError:
        return NO_LIMITS
