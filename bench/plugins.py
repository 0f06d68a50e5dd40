"""Find what installed distributions offer under an entry-point group; never import a loose file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from bench.errors import PluginError

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")
"""What a study, dataset or family may be called, since names become file names."""

ARM_NAME = re.compile(rf"(?:{NAME.pattern}:)?{NAME.pattern}")
"""What an arm or a strategy may be called: a name, or one of a family, such as ``peft:ia3``."""

OWN = "paretune"

T = TypeVar("T")


def file_name(name: str) -> str:
    """The name of an arm or of its trial as part of a file's, which on some disks has no colon."""
    return name.replace(":", "-")


@dataclass(frozen=True, kw_only=True)
class Plugins(Generic[T]):
    """What a group offers.

    Attributes:
        found: usable plug-ins by name, ours first, then by name.
        broken: one error per plug-in that cannot be used, naming it.
    """

    found: Mapping[str, T]
    broken: tuple[PluginError, ...]


def load_plugins(group: str, check: Callable[[str, object], T]) -> Plugins[T]:
    """Imports every entry point of ``group``.

    Args:
        group: the entry-point group, such as ``paretune.strategies``.
        check: turns a name and the imported object into a plug-in, or raises ``PluginError``.
    """
    found: dict[str, T] = {}
    broken: list[PluginError] = []
    for entry in sorted(entry_points(group=group), key=_ours_first):
        try:
            if entry.name in found:
                raise PluginError(entry.name, "the name is taken by another plug-in")
            found[entry.name] = _load(entry, check)
        except PluginError as error:
            broken.append(error)
    return Plugins(found=found, broken=tuple(broken))


def check_class(name: str, loaded: object, base: type[Any]) -> type[Any]:
    """Checks what every class that is installed promises.

    Args:
        name: of the entry point.
        loaded: what it points to.
        base: the contract.

    Raises:
        PluginError: it is no frozen dataclass of that contract, leaves something of it out, or has
            another name.
    """
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise PluginError(
            name, f"{loaded!r} is not a subclass of {base.__module__}.{base.__name__}"
        )
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        raise PluginError(name, f"{loaded.__name__} does not define {', '.join(missing)}")
    if getattr(loaded, "name", None) != name:
        raise PluginError(name, f"{loaded.__name__}.name must be {name!r}, the entry point's name")
    parameters = loaded.__dict__.get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        raise PluginError(name, f"{loaded.__name__} must be a @dataclass(frozen=True)")
    return loaded


def installed_names(group: str) -> frozenset[str]:
    """Names of a group's entry points, without importing what they point to."""
    return frozenset(entry.name for entry in entry_points(group=group))


def _load(entry: EntryPoint, check: Callable[[str, object], T]) -> T:
    if not ARM_NAME.fullmatch(entry.name):
        raise PluginError(entry.name, f"a name must match {ARM_NAME.pattern}")
    try:
        loaded = entry.load()
    except Exception as error:  # foreign code at import: any failure is the plug-in's, and is told
        raise PluginError(entry.name, f"{type(error).__name__}: {error}") from error
    return check(entry.name, loaded)


def _ours_first(entry: EntryPoint) -> tuple[bool, str, str]:
    distribution = entry.dist.name if entry.dist else ""
    return (distribution != OWN, entry.name, distribution)
