"""Ask every node of a cluster what a sweep needs of it, all at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import token
from bench.cluster.join import joined
from bench.doctor.checks import ALIKE, SAME, judge
from bench.doctor.collect import PATIENCE, Inquiry, Node, Survey, alive, ask
from bench.doctor.findings import Finding, Level, NodeName, refused
from bench.doctor.probe import probe
from bench.errors import ClusterError
from bench.storage.files import Location
from bench.strategy import Strategy
from bench.study.experiment import Experiment
from bench.study.run_options import RunOptions

PACKAGES = ("bench", "strategies", "search_spaces")
"""Packages that workers import."""
SWEEP_PATIENCE = 70.0
"""Ray takes up to 65 s to notice that a node has lost its power: that is no reason to refuse a
sweep, as its other nodes can run it."""
DEVICES = ("/dev/nvidiactl", "/dev/kfd")
"""What drivers of GPUs make, where there are any."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the nodes are to be fit for.

    Attributes:
        folder: where results go: an absolute path, or a URI.
        modules: packages and modules of strategies that are none of ours, and what ours need.
        weights: bytes of the model's files, 0 if unknown.
        compiles: whether trials are compiled.
        on_gpus: whether trials are given GPUs where there are any.
    """

    folder: str
    modules: tuple[str, ...] = ()
    weights: int = 0
    compiles: bool = False
    on_gpus: bool = True

    @classmethod
    def of(cls, prepared: Experiment, options: RunOptions) -> Needs:
        """What a study needs, whose trials are given what is asked."""
        kinds = {kind for arm in prepared.study.arms for kind in arm.strategy.__mro__}
        roots = {kind.__module__.partition(".")[0] for kind in kinds if issubclass(kind, Strategy)}
        needed = [arm.strategy.needs for arm in prepared.study.arms]
        files = prepared.source.folder.glob("*.safetensors")
        return cls(
            folder=address_of(prepared.ledger.folder),
            modules=tuple(sorted((roots - {*PACKAGES, "__main__"}).union(*needed))),
            weights=sum(path.stat().st_size for path in files),
            compiles=prepared.study.file.compile,
            on_gpus=options.gpus_per_trial != 0,
        )


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a look has brought.

    Attributes:
        findings: judged.
        nodes: what each has said; empty where the cluster could not be joined.
    """

    findings: tuple[Finding, ...]
    nodes: tuple[Node, ...]


def examine(needs: Needs, options: RunOptions) -> Examined:
    """Looks at a cluster, or at this machine alone where there is no address."""
    if options.address is None:
        look = _look_here(needs)
        return Examined(findings=judge(look), nodes=tuple(look.nodes))
    try:
        with joined(options):
            look = _look(needs)
            way_in = _way_in(options)
    except ClusterError as error:
        problems = (
            Finding(check="cluster", level=Level.REFUSED, found=problem)
            for problem in error.problems
        )
        return Examined(findings=tuple(problems), nodes=())
    return Examined(findings=(way_in, *judge(look)), nodes=tuple(look.nodes))


def preflight(prepared: Experiment, options: RunOptions) -> tuple[str, ...]:
    """Looks at the cluster that has been joined, before a study runs there.

    Args:
        prepared: the study.
        options: what a trial is given.

    Returns:
        What to warn of.

    Raises:
        ClusterError: with everything that stands in the way.
    """
    findings = judge(_look(Needs.of(prepared, options), SWEEP_PATIENCE))
    if stops := refused(findings):
        raise ClusterError(*(finding.sentence for finding in stops))
    return tuple(finding.notice for finding in findings if finding.level is Level.WARNING)


def _way_in(options: RunOptions) -> Finding:
    if token.is_shown() and not options.insecure_cluster:
        return Finding(check="cluster", level=Level.OK, found="joined, showing a token")
    if options.insecure_cluster:
        found = "may let in whoever reaches it, which --insecure-cluster allows"
    else:
        found = "asks for no token: whoever reaches it may run code on it; joined all the same, as"
        found += " its address is this machine's own"
    way_out = "start it with RAY_AUTH_MODE=token where others reach it"
    return Finding(check="cluster", level=Level.WARNING, found=found, way_out=way_out)


def address_of(folder: Location) -> str:
    """A folder by a name that means the same to every process: an absolute path, or a URI."""
    return str(folder.absolute() if isinstance(folder, Path) else folder)


def _look_here(needs: Needs) -> Survey:
    """At this machine alone, without Ray."""
    question = _question(needs)
    gpus = any(Path(device).exists() for device in DEVICES)
    with question.token() as unwritable:
        here = probe(question.to("here", gpus=gpus))
        arrived = question.has_arrived("here")
    cores = {"CPU": float(here["cores"])}
    node = Node(
        place=NodeName(address="this machine"), resources=cores, facts=here, arrived=arrived
    )
    return _look_of(needs, question, unwritable, [node])


def _look(needs: Needs, patience: float = PATIENCE) -> Survey:
    """At every node of the cluster that has been joined, waiting so many seconds for answers."""
    question = _question(needs)
    with question.token() as unwritable:
        nodes = ask(alive(), question, patience)
    return _look_of(needs, question, unwritable, nodes)


def _question(needs: Needs) -> Inquiry:
    roots = (*PACKAGES, *needs.modules)
    return Inquiry.about([*SAME, *ALIKE], roots, needs.folder, compiles=needs.compiles)


def _look_of(
    needs: Needs, question: Inquiry, unwritable: str | None, nodes: Sequence[Node]
) -> Survey:
    return Survey(
        here=probe(question.about_code()),
        sources=question.sources,
        nodes=nodes,
        folder=question.folder,
        unwritable=unwritable,
        has_token=token.is_shown(),
        weights=needs.weights,
        compiles=needs.compiles,
        on_gpus=needs.on_gpus,
    )
