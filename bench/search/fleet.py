"""The nodes of a cluster: those that are there, and those that its autoscaler may add."""

from __future__ import annotations

from dataclasses import dataclass

import ray
from ray._private.state import state

from bench.autoscaling import NO_LIMITS, UNBOUNDED, Limits, Node, NodeType, limits_here

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

    limits: Limits = NO_LIMITS

    @property
    def nodes(self) -> list[Node]:
        """What is there now, then what may come."""
        here = present()
        return [*here, *self.limits.arrivals([node for node in here if HEAD not in node])]


def present() -> list[Node]:
    """What Ray found on each node that is there."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def limits() -> Limits:
    """How far the cluster that was joined may grow, as far as its head or Ray can tell."""
    told = getattr(state, "get_cluster_config", lambda: None)()
    if told is not None and told.node_group_configs:
        return Limits(
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
