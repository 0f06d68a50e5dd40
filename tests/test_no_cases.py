"""Nothing asks which task or strategy it has before it: what differs is in their contracts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.strategy import installed_strategies
from bench.task import installed_tasks

ROOT = Path(__file__).parents[1]
ROOMS = ("bench", "strategies", "search_spaces", "reports")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
KINDS = {"task", "strategy", "kind"}
"""What an instance or class of either is called."""


def cases(source: str, names: set[str]) -> Iterator[int]:
    """Lines that compare a name of a task or strategy, or match on one, or ask for its class."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if (any(_is_name(side) for side in sides) and any(_is_text(s) for s in sides)) or any(
                _literals(side) & names for side in sides
            ):
                yield node.lineno
        elif isinstance(node, ast.MatchValue) and _literals(node.value) & names:
            yield node.pattern.lineno if hasattr(node, "pattern") else node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            subject, kinds = node.args
            asked = {part.id for part in ast.walk(kinds) if isinstance(part, ast.Name)}
            if ast.unparse(subject).rpartition(".")[2] in KINDS and not asked <= {"str", "type"}:
                yield node.lineno


def _is_name(node: ast.expr) -> bool:
    """Whether it is ``task``, ``spec.task``, ``strategy.name`` and the like."""
    named = isinstance(node, ast.Attribute) and node.attr == "name"
    if isinstance(node, ast.Attribute) and named:
        node = node.value
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "type":
        node = node.args[0]
    last = ast.unparse(node).rpartition(".")[2]
    kinds = KINDS if named else KINDS - {"kind"}
    return last in kinds and isinstance(node, ast.Name | ast.Attribute)


def _is_text(node: ast.expr) -> bool:
    return any(isinstance(p, ast.Constant) and isinstance(p.value, str) for p in ast.walk(node))


def _literals(node: ast.expr) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


NAMES = {*installed_tasks().found, *installed_strategies().found} - {"full"}
"""``full`` is a word of its own, too."""


@pytest.mark.parametrize(
    "source",
    [
        "if task == 'multiple_choice': pass",
        "if strategy.name == 'lora': pass",
        "if spec.task.name in ('a', 'b'): pass",
        "x = 1 if study.task != name_of('x') else 2",
        "if record.strategy == 'mine': pass",
        "if what == 'lora': pass",
        "match word:\n    case 'prefix': pass",
        "if isinstance(spec.task, MultipleChoice): pass",
        "if type(strategy) == load('x'): pass",
    ],
)
def test_a_case_is_seen_however_it_is_written(source: str) -> None:
    assert list(cases(source, NAMES))


@pytest.mark.parametrize(
    "source",
    [
        "if name in tasks: pass",
        "if spec.task == other.task: pass",
        "if not isinstance(strategy, str): pass",
        "x = [s for s in found if s.refuse(config)]",
    ],
)
def test_what_merely_looks_alike_is_left_alone(source: str) -> None:
    assert not list(cases(source, NAMES))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_asks_for_a_task_or_strategy_by_name(path: Path) -> None:
    assert list(cases(path.read_text(encoding="utf-8"), NAMES)) == []
