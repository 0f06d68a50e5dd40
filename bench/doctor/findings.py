"""What a look at a cluster has found: lines that are fine, warn of something or refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

CHECKS = (
    "study", "cluster", "nodes", "versions", "code", "machines", "compilers", "results", "token",
    "clocks", "Ray",
)  # fmt: skip
"""What is looked at, in the order in which it is told."""
SHOWN = 5


class Level(StrEnum):
    """How much a finding weighs."""

    OK = "ok"
    WARNING = "warning"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, order=True)
class NodeName:
    """One node.

    Attributes:
        address: of its network interface; ``this machine`` where no cluster is looked at.
        node: the first digits of Ray's name for it.
    """

    address: str
    node: str = ""

    def __str__(self) -> str:
        return f"{self.address} ({self.node})" if self.node else self.address


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line.

    Attributes:
        check: what was looked at, one of ``CHECKS``.
        level: how it came out.
        found: what was found, both sides of it where two things differ.
        places: the nodes where; empty where it is no matter of nodes.
        way_out: what to do; ``None`` where nothing is to be done.
    """

    check: str
    level: Level
    found: str
    places: tuple[NodeName, ...] = ()
    way_out: str | None = None

    @property
    def where(self) -> str:
        """The nodes, or how many they are where all is well."""
        return _where([str(place) for place in self.places], count=self.level is Level.OK)

    @property
    def sentence(self) -> str:
        """All of it, with addresses."""
        return self._told(self.where)

    @property
    def notice(self) -> str:
        """All of it for records that travel further than addresses of machines should."""
        nodes = [f"node {place.node}" for place in self.places if place.node]
        return self._told(_where(nodes, count=False))

    def _told(self, where: str) -> str:
        found = f"{where}: {self.found}" if where else self.found
        return f"{found}; {self.way_out}" if self.way_out else found


def folded(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One line for all nodes that say the same; checks in order, and in each the worst first."""
    lines: dict[tuple[str, Level, str, str | None], Finding] = {}
    for finding in findings:
        key = (finding.check, finding.level, finding.found, finding.way_out)
        known = lines.setdefault(key, replace(finding, places=()))
        places = tuple(sorted({*known.places, *finding.places}))
        lines[key] = replace(known, places=places)
    return tuple(sorted(lines.values(), key=_rank))


def _rank(finding: Finding) -> tuple[int, int]:
    return CHECKS.index(finding.check), -list(Level).index(finding.level)


def refused(findings: Iterable[Finding]) -> list[Finding]:
    """Those that stand in the way."""
    return [finding for finding in findings if finding.level is Level.REFUSED]


def _where(names: Sequence[str], *, count: bool) -> str:
    if count and len(names) > 1:
        return f"{len(names)} nodes"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
