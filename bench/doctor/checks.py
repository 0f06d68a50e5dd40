"""Judge what nodes have said of themselves. Pure functions: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.doctor.collect import Node, Survey
from bench.doctor.findings import Finding, Level, NodeName, folded
from bench.study.provenance import DISTRIBUTION, source_hash

GIB = 2**30
SKEW_SECONDS = 5.0
OPEN_FILES = 8192
"""Ray itself calls less too low."""
MONITOR = "RAY_memory_monitor_refresh_ms"


def hardware(nodes: Iterable[Node]) -> Iterator[Finding]:
    """Cores, memory and the GPUs that torch sees, which must be as many as Ray shares out."""
    alike: dict[str, list[Node]] = {}
    for node in nodes:
        if node.facts:
            alike.setdefault(_parts(node, node.facts), []).append(node)
            yield from _unseen(node, node.facts, node.facts["torch"] or {})
    for parts, group in alike.items():
        places = tuple(node.place for node in group)
        found = f"{parts}{_memory(group)}"
        yield Finding(check="machines", level=Level.OK, found=found, places=places)


def _parts(node: Node, facts: Mapping[str, Any]) -> str:
    said = f"{node.resources.get('CPU', 0):g} of {facts['cores']} cores"
    gpus = (facts["torch"] or {}).get("gpus")
    if gpus:
        kinds = [f"{gpu['name']} ({gpu['bytes'] / GIB:.0f} GiB)" for gpu in gpus]
        counted = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))
        return (
            f"{said}, {counted}, driver {facts['driver']}, CUDA {facts['torch']['cuda']} in torch"
        )
    return said if node.resources.get("GPU") else f"{said}, no GPU"


def _memory(nodes: Iterable[Node]) -> str:
    """What Ray shares out, of the node with least and the one with most."""
    found = [node.resources["memory"] / GIB for node in nodes if "memory" in node.resources]
    if not found:
        return ""
    low, high = f"{min(found):.0f}", f"{max(found):.0f}"
    return f", {low if low == high else f'{low} to {high}'} GiB of memory"


def _unseen(node: Node, facts: Mapping[str, Any], torch: Mapping[str, Any]) -> Iterator[Finding]:
    """GPUs that trials would be given and could not use."""
    asked, version = node.resources.get("GPU", 0), facts["packages"]["torch"]
    if "error" in torch:
        yield Finding(
            check="machines",
            level=Level.REFUSED,
            found=torch["error"],
            places=(node.place,),
            way_out=f"install torch {version} anew there",
        )
    elif torch and len(torch["gpus"]) < asked:
        built = f"built for CUDA {torch['cuda']}" if torch["cuda"] else "built without GPUs"
        driver = f"driver {facts['driver']}" if facts["driver"] else "no NVIDIA driver"
        seen = len(torch["gpus"])
        yield Finding(
            check="machines",
            level=Level.REFUSED,
            found=f"Ray shares out {asked:g} GPUs, torch {version} sees {seen} ({built}, {driver})",
            places=(node.place,),
            way_out="install a driver and a torch that fit each other, or start the node with"
            f" --num-gpus={seen}",
        )


def compilers(look: Survey) -> Iterator[Finding]:
    """Whether torch can compile wherever trials would run, if they are compiled."""
    for node, facts in look.workers if look.compiles else ():
        if "error" in facts["torch"]:
            continue  # which is told already
        found, _, way_out = (facts["torch"]["cannot_compile"] or "").partition("; ")
        yield Finding(
            check="compilers",
            level=Level.REFUSED if found else Level.OK,
            found=found or "there is what torch.compile needs",
            places=(node.place,),
            way_out=way_out or None,
        )


def alike(look: Survey) -> Iterator[Finding]:
    """Times are compared between trials, which run on any node that has room."""
    shown = (
        _gpus(facts) if look.on_gpus and node.resources.get("GPU") else facts["cpu"]
        for node, facts in look.workers
    )
    names = sorted({kind for kind in shown if kind})
    if len(names) > 1:
        yield Finding(
            check="machines",
            level=Level.WARNING,
            found=f"trials would run on {' and on '.join(names)}: their times will not compare",
            way_out="where times matter, use machines of one kind",
        )


def _gpus(facts: Mapping[str, Any]) -> str:
    """Kinds of the GPUs of a node."""
    torch = facts["torch"] or {}
    return ", ".join(sorted({gpu["name"] for gpu in torch.get("gpus", ())}))


def results(look: Survey) -> Iterator[Finding]:
    """Whether all write to, and read from, the same place."""
    if look.unwritable:
        yield Finding(
            check="results",
            level=Level.REFUSED,
            found=f"this machine cannot write to {look.folder}: {look.unwritable}",
            way_out="make it writable, or name another place with --out",
        )
        return
    for node in look.nodes:
        told = node.facts and node.facts["results"]
        if told:
            yield _shared(node, told, look)


def _shared(node: Node, told: Mapping[str, Any], look: Survey) -> Finding:
    folder = look.folder
    mounted = "name a place with --out that every machine mounts or reaches"
    shared = f"{folder} is shared: each reads and writes what the others do"
    found, way_out = shared if look.is_cluster else f"{folder} can be written", None
    level = Level.REFUSED
    if not told["seen"]:
        reason = f" ({told['unwritable']})" if told["unwritable"] else ""
        found, way_out = f"does not see what this machine writes to {folder}{reason}", mounted
    elif told["unwritable"]:
        found = f"reads {folder} and cannot write there: {told['unwritable']}"
        way_out = "let the user of Ray's processes there write to it"
    elif not node.arrived:
        found, way_out = f"what it writes to {folder} does not arrive here", mounted
    else:
        level = Level.OK
    return Finding(check="results", level=level, found=found, places=(node.place,), way_out=way_out)


def token(node: Node, facts: Mapping[str, Any], look: Survey) -> Iterator[Finding]:
    """Whether others on the node may read what lets them into the cluster."""
    mode = facts["token_mode"]
    if not look.has_token or mode is None:
        return
    if mode & 0o077:
        yield Finding(
            check="token",
            level=Level.REFUSED,
            found=f"the file with the cluster's token can be read by others (mode {mode:04o})",
            places=(node.place,),
            way_out="run there: chmod 600 ~/.ray/auth_token",
        )
    else:
        found = "the file with the cluster's token is its owner's alone"
        yield Finding(check="token", level=Level.OK, found=found, places=(node.place,))


def clocks(nodes: Iterable[Node]) -> Iterator[Finding]:
    """Whether a node's clock is off by more than the question can tell."""
    fine: list[NodeName] = []
    most = doubt = 0.0
    for node in nodes:
        if node.skew is None:
            continue
        off = abs(node.skew.seconds)
        if off - node.skew.doubt <= SKEW_SECONDS:
            fine.append(node.place)
            most, doubt = max(most, off), max(doubt, node.skew.doubt)
            continue
        direction = "ahead of" if node.skew.seconds > 0 else "behind"
        yield Finding(
            check="clocks",
            level=Level.WARNING,
            found=f"the clock is {off:.1f} s {direction} this one's (± {node.skew.doubt:.1f} s)",
            places=(node.place,),
            way_out="start a time service there, such as chrony; object stores turn away requests"
            " whose time is off",
        )
    if fine:
        found = f"clocks are at most {most:.2f} s off (± {doubt:.2f} s)"
        yield Finding(check="clocks", level=Level.OK, found=found, places=tuple(fine))


def settings(node: Node, facts: Mapping[str, Any], look: Survey) -> Iterator[Finding]:
    """What is known to end badly, of how Ray was started on a node."""
    problems = [*_raylet(facts), *_store(node, look.weights)]
    if facts["open_files"] < OPEN_FILES:
        problems.append(
            (
                f"{facts['open_files']} open files are allowed, Ray wants {OPEN_FILES} or more",
                "run `ulimit -n 65536` there before `ray start`",
            )
        )
    for found, way_out in problems:
        yield Finding(
            check="Ray",
            level=Level.WARNING,
            found=found,
            places=(node.place,),
            way_out=way_out,
        )
    if facts["raylet"] and not problems:
        found = "memory monitor off, objects in shared memory, enough open files"
        yield Finding(check="Ray", level=Level.OK, found=found, places=(node.place,))


def _raylet(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    raylet = facts["raylet"]
    if raylet and raylet["settings"][MONITOR] != "0":
        yield (
            "Ray's memory monitor is on: where memory runs short it ends the whole sweep, not the"
            " one trial",
            f"start the node with {MONITOR}=0",
        )
    if raylet and raylet["plasma"] not in {None, "/dev/shm"}:
        yield (
            "Ray keeps objects on a disk, as /dev/shm is too small: weights are read slowly",
            "give the node a larger /dev/shm (containers: --shm-size), or start it with a smaller"
            " --object-store-memory",
        )


def _store(node: Node, weights: int) -> Iterator[tuple[str, str]]:
    room = node.resources.get("object_store_memory")
    if room is not None and weights > room:
        yield (
            f"the object store holds {room / GIB:.1f} GiB, the model {weights / GIB:.1f} GiB:"
            " weights go through the disk",
            "start the node with a larger --object-store-memory",
        )


SAME = ("ray", "torch", "transformers", DISTRIBUTION)
"""Packages that must be the same everywhere: they decide what comes out of a trial."""
ALIKE = ("numpy", "safetensors")
"""Packages that carry arrays between nodes and files; other versions mostly agree."""
SHOWN = 3


def judge(look: Survey) -> tuple[Finding, ...]:
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


def _versions(node: Node, facts: Mapping[str, Any], look: Survey) -> Iterator[Finding]:
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


def _code(node: Node, facts: Mapping[str, Any], look: Survey) -> Iterator[Finding]:
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
