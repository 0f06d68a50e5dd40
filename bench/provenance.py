"""Where results come from: hashes of the code that makes them, and the state of the checkout."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import inspect
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement

from bench.strategy import Strategy
from bench.task import AnyTask, Task

DISTRIBUTION = "paretune"
RESULT_MODULES = (
    "anatomy", "last_block", "checkpointing", "compiling", "source", "model", "tokens", "batches",
    "attention", "cpu", "train", "measure", "metrics", "history", "workbench", "trial",
)  # fmt: skip
"""Modules of ``bench`` that decide what comes out of a trial."""


def code_fingerprint(strategy: type[Strategy], task: type[AnyTask]) -> str:
    """Content hash of the code of a strategy, a task, and of the training they pass through.

    Comments, docstrings and layout do not count, so that they can be mended without running
    trials again. The modules of a base class do, and what these import of their own package.
    """
    kinds = (*strategy.__mro__, *task.__mro__)
    modules: dict[str, ModuleType] = {}
    for kind in kinds:
        module = inspect.getmodule(kind) if issubclass(kind, Strategy | Task) else None
        if module is not None:
            _gather(module, modules)
    for name in RESULT_MODULES:
        modules[f"bench.{name}"] = importlib.import_module(f"bench.{name}")
    parts = map(_module_hash, modules.values())
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _gather(module: ModuleType, found: dict[str, ModuleType]) -> None:
    """Adds a module and what it imports of its package, by way of others too."""
    if module.__name__ in found:
        return
    found[module.__name__] = module
    package = module.__name__.partition(".")[0]
    if package == "bench":  # there a list says what counts
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
def _module_hash(module: ModuleType) -> str:
    return source_hash(inspect.getsource(module))


def source_hash(text: str) -> str:
    """Content hash of the code of a module, without comments, docstrings and layout.

    Raises:
        SyntaxError: it is no Python of this version.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare string, as docstrings are."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def commit() -> str | None:
    """Commit of the checkout this package is imported from, with ``-dirty`` if it was changed.

    ``None`` where it was installed from a wheel.
    """
    folder = Path(__file__).parent.parent
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
