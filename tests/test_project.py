"""Promises of the whole code base that no single module can keep."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ROOMS = ("bench", "strategies", "search_spaces", "reports")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
LONGEST = 600
LONGER: dict[str, int] = {}
FORBIDDEN = {
    "torch.load": "runs what a stranger wrote; use safetensors",
    "pickle.load": "runs what a stranger wrote; use JSON",
    "pickle.loads": "runs what a stranger wrote; use JSON",
    "cloudpickle.load": "runs what a stranger wrote; use JSON",
    "cloudpickle.loads": "runs what a stranger wrote; use JSON",
    "yaml.load": "builds any object; use yaml.safe_load",
    "yaml.unsafe_load": "builds any object; use yaml.safe_load",
    "eval": "runs text",
    "exec": "runs text",
    "os.system": "runs text in a shell",
    "shell=True": "runs text in a shell",
}


def imported_names(tree: ast.Module) -> dict[str, str]:
    """What each imported name of a module stands for, with dots."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def calls(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that is called, and ``shell=True`` where it is passed."""
    tree = ast.parse(source)
    names = imported_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, dot, rest = ast.unparse(node.func).partition(".")
        yield node.lineno, f"{names.get(head, head)}{dot}{rest}"
        for keyword in node.keywords:
            if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                yield node.lineno, "shell=True"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("print('x')", "print"),
        ("import torch\ntorch.load('x')", "torch.load"),
        ("import torch as t\nt.load('x')", "torch.load"),
        ("from torch import load as read\nread('x')", "torch.load"),
        ("from pickle import loads\nloads(b'')", "pickle.loads"),
        ("import yaml\nyaml.load('x', yaml.Loader)", "yaml.load"),
        ("def f():\n    return [eval(x) for x in '12']", "eval"),
        ("import subprocess as s\ns.run('ls', shell=True)", "shell=True"),
    ],
)
def test_a_forbidden_call_is_seen_however_it_is_written(source: str, found: str) -> None:
    assert found in {name for _, name in calls(source)}


@pytest.mark.parametrize("source", ["model.eval()", "yaml.safe_load('x')", "console.print('x')"])
def test_calls_that_merely_look_alike_are_left_alone(source: str) -> None:
    assert not {name for _, name in calls(source)} & {*FORBIDDEN, "print"}


def test_every_room_has_files() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_runs_foreign_text_or_pickles(path: Path) -> None:
    found = [
        f"line {line}: {name} {FORBIDDEN[name]}"
        for line, name in calls(path.read_text(encoding="utf-8"))
        if name in FORBIDDEN
    ]
    assert found == []


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{name_of(path)}:{line}"
        for path in FILES
        if not name_of(path).startswith("bench/cli/")
        for line, name in calls(path.read_text(encoding="utf-8"))
        if name in {"print", "sys.stdout.write", "sys.stderr.write", "typer.echo"}
    ]
    assert printing == []


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    long = {name: n for name, n in lengths.items() if n > LONGER.get(name, LONGEST)}
    assert long == {}


def direct_dependencies() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return [Requirement(text) for text in (*project["dependencies"], *extras)]


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = [line.partition("#")[0].strip() for line in lines]
    return {canonicalize_name(r.name): r for r in map(Requirement, filter(None, kept))}


@pytest.mark.parametrize("wanted", direct_dependencies(), ids=lambda wanted: wanted.name)
def test_a_direct_dependency_is_pinned_to_a_version_it_allows(wanted: Requirement) -> None:
    pin = pins().get(canonicalize_name(wanted.name))
    assert pin is not None, f"{wanted.name} stands in pyproject.toml but not in constraints.txt"
    (version,) = pin.specifier
    assert version.operator == "=="
    assert wanted.specifier.contains(version.version, prereleases=True)


@pytest.mark.parametrize(
    ("name", "hole"), [("ray", "2.55"), ("torch", "2.10"), ("transformers", "5.2")]
)
def test_s04_no_version_with_a_known_hole_is_allowed(name: str, hole: str) -> None:
    needed = [r for r in direct_dependencies() if r.name == name]
    assert needed
    assert not any(r.specifier.contains(hole) for r in needed)
