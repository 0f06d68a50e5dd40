"""The command ``paretune doctor``: whether a cluster, or this machine, is fit for a study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.cli.console import BAD_INPUT, SUCCESS, err, out
from bench.doctor.collect import Node
from bench.doctor.examine import Needs, address_of, examine
from bench.doctor.findings import Finding, Level, refused
from bench.errors import Faults, InputError
from bench.records.scrub import scrub
from bench.storage.files import RUNS, Location, location
from bench.study.experiment import Experiment, prepare
from bench.study.request import Request
from reports.escape import plain
from reports.show import size

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.REFUSED: "bold red"}


def show_examination(request: Request, faults: Faults) -> int:
    """Prints what was found, and returns the exit code.

    Args:
        request: what a cluster is to be fit for; without an address this machine is looked at.
        faults: what is wrong with it already.
    """
    as_json = request.options.as_json
    with err.status("looking at study, machine and cluster"):
        needs, study = _study(request, faults)
        examined = examine(needs, request.options)
    findings = (*study, *examined.findings)
    if as_json:
        print(scrub(json.dumps(_document(findings, examined.nodes))))  # noqa: T201
    elif out.is_terminal:
        out.print(_table(findings))
    else:
        for finding in findings:
            line = f"{finding.level:<8} {finding.check}: {finding.sentence}"
            out.print(scrub(plain(line)), markup=False, highlight=False, soft_wrap=True)
    if not as_json:
        out.print(f"\n{_verdict(findings)}", markup=False, highlight=False)
    return BAD_INPUT if refused(findings) else SUCCESS


def _study(request: Request, faults: Faults) -> tuple[Needs, list[Finding]]:
    """What the study needs of nodes, and what this machine, which reads it, finds wrong with it."""
    study, place = request.check(faults), request.options.out
    folder: Location = RUNS / study.name
    with faults.gathered():
        folder = location(place) if place else folder
    try:
        prepared = prepare(study, folder, request, faults)
    except InputError as error:
        return Needs(folder=address_of(folder)), [
            Finding(check="study", level=Level.REFUSED, found=problem) for problem in error.problems
        ]
    needs = Needs.of(prepared, request.options)
    skipped = prepared.refusals().items()
    return needs, [
        *(Finding(check="study", level=Level.OK, found=told) for told in _read(prepared, needs)),
        *(Finding(check="study", level=Level.WARNING, found=f"{arm} will be skipped: {reason}")
          for arm, reason in skipped),
    ]  # fmt: skip


def _read(prepared: Experiment, needs: Needs) -> Iterable[str]:
    """What only this machine has to reach, as workers get it through Ray's object store."""
    yield (
        f"model {prepared.source.name} ({size(needs.weights)}) is read by this machine; workers"
        " get it through Ray"
    )
    sizes = ", ".join(
        f"{summary.questions} {split}" for split, summary in prepared.dataset.summaries.items()
    )
    yield (
        f"dataset {prepared.dataset.name} ({sizes}) is read by this machine; workers get it"
        " through Ray"
    )


def _table(findings: Iterable[Finding]) -> Table:
    table = Table(show_lines=False)
    for heading in ("check", "", "where", "found"):
        table.add_column(heading, overflow="fold")
    last = ""
    for finding in findings:
        told = [finding.found, f"→ {finding.way_out}" if finding.way_out else ""]
        table.add_row(
            finding.check if finding.check != last else "",
            Text(finding.level, STYLES[finding.level]),
            Text(plain(finding.where)),
            Text(scrub("\n".join(plain(line) for line in told if line))),
        )
        last = finding.check
    return table


def _verdict(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.level for finding in findings)
    told = [_counted(counts[level], level) for level in (Level.REFUSED, Level.WARNING)]
    if counts[Level.REFUSED]:
        return f"a sweep would be refused: {', '.join(filter(None, told))}"
    return f"ready{f', with {told[1]}' if told[1] else ''}"


def _counted(count: int, level: Level) -> str:
    if level is Level.REFUSED:
        return f"{count} refused" if count else ""
    return f"{count} warning{'s' if count > 1 else ''}" if count else ""


def _document(findings: Iterable[Finding], nodes: Iterable[Node]) -> dict[str, Any]:
    findings = list(findings)
    return {
        "ready": not refused(findings),
        "findings": [
            {
                "check": finding.check,
                "level": finding.level,
                "nodes": [{"address": p.address, "id": p.node} for p in finding.places],
                "found": finding.found,
                "way_out": finding.way_out,
            }
            for finding in findings
        ],
        "nodes": [_node_document(node) for node in nodes],
    }


def _node_document(node: Node) -> dict[str, Any]:
    facts = dict(node.facts or {})
    facts.pop("code", None)
    skew = node.skew and {"seconds": node.skew.seconds, "doubt": node.skew.doubt}
    return {
        "address": node.place.address,
        "id": node.identity,
        "resources": dict(node.resources),
        "facts": facts or None,
        "silent": node.silent,
        "clock": skew,
    }
