"""The published page: what was run, the figures, their ratios, and whether demands are met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.peers import demands
from tests.peers.tables import NOT_MEASURED, SECTIONS, TITLES, Stored, memory, table


def page(stored: Stored) -> str:
    """The page as Markdown.

    Args:
        stored: what each section left, ``None`` where it has not run.
    """
    blocks = ["# Speed", *_about(stored), "## Demands", demands_table(stored)]
    for name, title in TITLES.items():
        blocks += [f"## {title}", *_section(name, stored)]
    return "\n\n".join(blocks) + "\n"


def _about(stored: Stored) -> list[str]:
    ran = {name: document for name, document in stored.items() if document}
    if not ran:
        return ["Nothing has been measured."]
    rows = [
        (
            name,
            document["scale"],
            document["dataset"],
            document["commit"] or "-",
            f"{document['seconds']:.0f}",
        )
        for name, document in ran.items()
    ]
    machines: dict[str, list[str]] = {}
    for name, document in ran.items():
        machines.setdefault(machine_told(document["machine"]), []).append(name)
    several = len(machines) > 1
    return [
        *(f"{', '.join(names)}: {told}" if several else told for told, names in machines.items()),
        "Made by `make bench` (scale whole) or `make bench-quick` (scale quick);"
        " every ratio is of two figures from one run of its section.",
        table(("section", "scale", "dataset", "commit", "seconds"), rows),
    ]


def machine_told(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB memory,"
        f" {machine['gpu'] or 'no GPU'}; {machine['system']}; {versions}."
    )


def demands_table(stored: Stored) -> str:
    """Every demand with its figure."""
    rows = [
        (d.text, d.figure, {True: "met", False: "NOT MET", None: "not measured"}[d.met])
        for d in demands.judged(stored)
    ]
    return table(("demand", "figure", "verdict"), rows)


def _section(name: str, stored: Stored) -> Sequence[str]:
    if name == "memory":
        return memory(stored)
    document = stored.get(name)
    if document is None:
        return [f"{NOT_MEASURED}: the section has not run."]
    if "missing" in document["found"]:
        return [f"{NOT_MEASURED}: it needs {document['found']['missing']}."]
    return SECTIONS[name](document["found"])
