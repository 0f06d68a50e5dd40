"""The text of a study file: its content, and the line on which each key stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench.errors import StudyError

MOST_BYTES = 1 << 20
"""Of a study file."""

STRATEGIES = "strategies."


@dataclass(frozen=True, kw_only=True)
class StudyText:
    """See the module.

    Attributes:
        name: of the file; empty if there is none.
        content: value per key.
        lines: line per key, keys of keys with a dot, such as ``strategies.lora.rank``.
    """

    name: str = ""
    content: dict[str, Any]
    lines: dict[str, int]

    def without(self, typed: Iterable[str]) -> StudyText:
        """The same text, which is not to blame for keys that were typed as options."""
        names = tuple(typed)
        lines = {
            key: line
            for key, line in self.lines.items()
            if not any(key == name or key.startswith(f"{name}.") for name in names)
        }
        return replace(self, lines=lines)

    def located(self, problem: str) -> str:
        """A fault that begins with a key, with file and line before it if the key stands there.

        Keys below ``strategies`` may be named by themselves.
        """
        key = re.split(r" = |: ", problem)[0]
        while key:
            line = self.lines.get(key) or self.lines.get(STRATEGIES + key)
            if line is not None:
                return f"{self.name}:{line}: {problem}"
            key = key.rpartition(".")[0]
        return problem


NO_TEXT = StudyText(content={}, lines={})


def read_study_text(path: Path) -> StudyText:
    """Reads a YAML file that holds a mapping.

    Raises:
        StudyError: it cannot be read, is no such file, or has a key twice.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise StudyError(f"{path}: {size} bytes, allowed {MOST_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        content = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[str, int] = {}
        twice: list[str] = []
        _walk(root, "", lines, twice, set())
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise StudyError(f"{path}{_line(error)}: is no YAML ({_reason(error)})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise StudyError(f"{path}: must be a mapping of keys to values, such as trials: 4")
    if twice:
        raise StudyError(*(f"{path.name}:{fault}" for fault in twice))
    return StudyText(name=path.name, content=content, lines=lines)


def _walk(
    node: yaml.Node | None, prefix: str, lines: dict[str, int], twice: list[str], seen: set[int]
) -> None:
    """Notes the keys of a mapping and of those below it; an alias is looked at once."""
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    own: set[str] = set()
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in own:
            twice.append(f"{line}: {prefix}{name}: stands twice; allowed once")
        own.add(name)
        lines.setdefault(f"{prefix}{name}", line)
        _walk(value, f"{prefix}{name}.", lines, twice, seen)


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    problem = getattr(error, "problem", None)
    return " ".join(str(problem or error).split())
