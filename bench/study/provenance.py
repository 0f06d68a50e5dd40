"""Where results come from: hashes of the code that makes them, and the state of the checkout."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import inspect
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement

from bench.strategy import Strategy
from bench.task import AnyTask, Task

DISTRIBUTION = "paretune"
BENCH = Path(__file__).parents[1]
RESULT_CODE = ("training", "pretrained", "data", "anatomy.py", "metrics.py")
"""Folders and files of ``bench`` that decide what comes out of a trial."""


def code_fingerprint(strategy: type[Strategy], task: type[AnyTask]) -> str:
    """Content hash of the code of a strategy, a task, and of the training they pass through.

    Comments, docstrings, layout and import statements do not count, nor in which file a statement
    stands, so that code can be mended and moved without running trials again. The modules of a
    base class do, and what these import of their own package.
    """
    kinds = (*strategy.__mro__, *task.__mro__)
    modules: dict[str, ModuleType] = {}
    for kind in kinds:
        module = inspect.getmodule(kind) if issubclass(kind, Strategy | Task) else None
        if module is not None:
            _gather(module, modules)
    found = {Path(inspect.getfile(module)) for module in modules.values()} - {*result_files(BENCH)}
    statements = [each for path in found for each in _statements_of(path)]
    return _hash([*statements, *_result_statements()])


def result_files(bench: Path) -> Iterator[Path]:
    """The files of ``RESULT_CODE``.

    Args:
        bench: the folder of the package.
    """
    for name in RESULT_CODE:
        path = bench / name
        yield from path.rglob("*.py") if path.is_dir() else [path]


def _gather(module: ModuleType, found: dict[str, ModuleType]) -> None:
    """Adds a module and what it imports of its package, by way of others too."""
    if module.__name__ in found:
        return
    found[module.__name__] = module
    package = module.__name__.partition(".")[0]
    if package == "bench":  # there folders say what counts
        return
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        for name in _imported(node):
            if name.startswith(f"{package}."):
                with contextlib.suppress(ModuleNotFoundError):  # what is imported from a module
                    _gather(importlib.import_module(name), found)


def _imported(node: ast.AST) -> Iterator[str]:
    """Names of modules that a statement imports, and of what it imports from them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _result_statements() -> tuple[str, ...]:
    return tuple(each for path in result_files(BENCH) for each in _statements_of(path))


@cache
def _statements_of(path: Path) -> tuple[str, ...]:
    return statements(path.read_text(encoding="utf-8"))


def source_hash(*texts: str) -> str:
    """Content hash of the code of modules, whichever of its statements stands in which.

    Raises:
        SyntaxError: one is no Python of this version.
    """
    return _hash([each for text in texts for each in statements(text)])


def _hash(found: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]


def statements(text: str) -> tuple[str, ...]:
    """The statements of a module without comments, docstrings, layout and imports.

    Raises:
        SyntaxError: it is no Python of this version.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for block in ("body", "orelse", "handlers", "finalbody"):
            inside = getattr(node, block, None)
            if isinstance(inside, list):
                kept = [
                    each for each in inside if not isinstance(each, ast.Import | ast.ImportFrom)
                ]
                setattr(node, block, [each for each in kept if not _is_text(each)])
    return tuple(ast.dump(each) for each in tree.body if not _is_empty(each))


def _is_empty(node: ast.AST) -> bool:
    """Whether nothing but imports stood under a condition, as under ``TYPE_CHECKING``."""
    return isinstance(node, ast.If) and not node.body and not node.orelse


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare string, as docstrings are."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def commit() -> str | None:
    """Commit of the checkout this package is imported from, with ``-dirty`` if it was changed.

    ``None`` where it was installed from a wheel.
    """
    folder = BENCH.parent
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def outdated() -> list[str]:
    """What is installed in a version older than this package needs, in a sentence each.

    A floor is where faults and holes of earlier versions are closed; an installer keeps it, but
    not whoever installs something else afterwards.
    """
    problems = []
    for line in requires(DISTRIBUTION) or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        found = version(needed.name)
        if not needed.specifier.contains(found, prereleases=True):
            problems.append(
                f"{needed.name} {found} is installed, {needed.specifier} is needed; run:"
                f" pip install '{needed.name}{needed.specifier}'"
            )
    return problems


def shown_command(arguments: Sequence[str]) -> str:
    """The command as it can be typed again, with the home folder as ``~``."""
    return " ".join(["paretune", *map(_shown, arguments)])


def _shown(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if not argument.startswith("-"):
        option, equals, value = "", "", argument
    home = Path.home()
    if not value.startswith("/") or not Path(value).is_relative_to(home):
        return shlex.quote(argument)
    # Shells expand ~ only unquoted and at the start of a word.
    words = [shlex.quote(option)] if equals else []
    inside = str(Path(value).relative_to(home))
    return " ".join([*words, "~" if inside == "." else f"~/{shlex.quote(inside)}"])
