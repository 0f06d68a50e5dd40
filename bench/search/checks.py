"""Judge what nodes have said of themselves. Pure functions: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.provenance import DISTRIBUTION, source_hash
from bench.search.findings import Finding, Level, folded
from bench.search.look import Look, Node
from bench.search.machine_checks import (
    alike,
    clocks,
    compilers,
    hardware,
    results,
    settings,
    token,
)

SAME = ("ray", "torch", "transformers", DISTRIBUTION)
"""Packages that must be the same everywhere: they decide what comes out of a trial."""
ALIKE = ("numpy", "safetensors")
"""Packages that carry arrays between nodes and files; other versions mostly agree."""
SHOWN = 3


def judge(look: Look) -> tuple[Finding, ...]:
    """All findings, nodes that agree folded into one."""
    found: list[Finding] = []
    for node in look.nodes:
        if look.is_cluster:
            found += _answer(node)
        if node.facts:
            found += _versions(node, node.facts, look)
        if node.facts and look.is_cluster:
            found += [*_code(node, node.facts, look), *settings(node, node.facts, look)]
            found += token(node, node.facts, look)
    found += [*hardware(look.nodes), *alike(look), *compilers(look)]
    found += [*results(look), *clocks(look.nodes)]
    return folded(found)


def _answer(node: Node) -> Iterator[Finding]:
    places = (node.place,)
    if node.is_leaving:
        yield Finding(
            check="nodes",
            level=Level.WARNING,
            found="is leaving the cluster, so nothing will run there",
            places=places,
        )
    elif node.facts is None:
        yield Finding(
            check="nodes",
            level=Level.REFUSED,
            found=f"gives no answer: {node.silent}",
            places=places,
            way_out="look at the logs of Ray there, or take the node away with `ray stop`",
        )
    else:
        yield Finding(check="nodes", level=Level.OK, found="alive", places=places)


def _versions(node: Node, facts: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    there, here = facts["packages"], look.here["packages"]
    same = []
    for name in (*SAME, *ALIKE):
        if there[name] == here[name]:
            same.append(f"{name} {here[name]}")
            continue
        yield Finding(
            check="versions",
            level=_weight(name, there[name], here[name], facts),
            found=f"{name} {there[name] or 'is not installed'}, here {here[name] or 'none'}",
            places=(node.place,),
            way_out=f"install the same there: pip install '{name}=={_public(here[name])}'",
        )
    python = facts["python"]
    if python == look.here["python"]:
        same.insert(0, f"Python {python}")
    else:
        yield Finding(
            check="versions",
            level=Level.WARNING if _minor(python) == _minor(look.here["python"]) else Level.REFUSED,
            found=f"Python {python}, here {look.here['python']}",
            places=(node.place,),
            way_out="use the same Python there",
        )
    yield Finding(check="versions", level=Level.OK, found=", ".join(same), places=(node.place,))


def _weight(name: str, there: str | None, here: str | None, facts: Mapping[str, Any]) -> Level:
    """How much a difference matters; builds of one version for other devices may round otherwise.

    Code that was sent along is no installed distribution, and is compared itself.
    """
    if name == DISTRIBUTION and there is None and facts["code"].get("bench"):
        return Level.WARNING
    same = there and _public(there) == _public(here)
    return Level.WARNING if same or name in ALIKE else Level.REFUSED


def _public(version: str | None) -> str:
    """A version without the name of its build."""
    return (version or "").partition("+")[0]


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _code(node: Node, facts: Mapping[str, Any], look: Look) -> Iterator[Finding]:
    version = facts["packages"][DISTRIBUTION]
    if version not in {None, look.here["packages"][DISTRIBUTION]}:
        return  # whose code is another, as it says itself
    changed: list[str] = []
    for root, mine in look.sources.items():
        theirs = facts["code"][root]
        if theirs is None:
            yield Finding(
                check="code",
                level=Level.REFUSED,
                found=f"{root} is not installed",
                places=(node.place,),
                way_out="install there what is installed here",
            )
        else:
            changed += differing(mine, theirs)
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        yield Finding(
            check="code",
            level=Level.REFUSED,
            found=f"other code in {', '.join(changed[:SHOWN])}{more} than here",
            places=(node.place,),
            way_out="install the same there, as other code gives other results",
        )
    elif all(facts["code"].values()):
        found = "the same code of paretune and its strategies as here"
        yield Finding(check="code", level=Level.OK, found=found, places=(node.place,))


def differing(mine: Mapping[str, str], theirs: Mapping[str, str | None]) -> list[str]:
    """Files whose code is not the same, or that one side lacks.

    Args:
        mine: text by name.
        theirs: the same; ``None`` stands for my text.
    """
    names = sorted(mine.keys() | theirs.keys())
    return [name for name in names if not _is_same(mine.get(name), theirs, name)]


def _is_same(mine: str | None, theirs: Mapping[str, str | None], name: str) -> bool:
    if mine is None or name not in theirs:
        return False
    text = theirs[name]
    try:
        return text is None or source_hash(text) == source_hash(mine)
    except SyntaxError:
        return False
