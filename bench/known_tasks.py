"""The tasks that are installed: found, checked, and made again from what a record tells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from bench.errors import PluginError, StudyError
from bench.metrics import METRICS
from bench.plugins import Plugins, check_class, load_plugins
from bench.task import AnyTask, Task, Words

GROUP = "paretune.tasks"


@cache
def installed_tasks() -> Plugins[type[AnyTask]]:
    """The tasks of all installed distributions, imported once per process."""
    return load_plugins(GROUP, check_task)


def known_task(name: str) -> type[AnyTask]:
    """The installed task of that name.

    Raises:
        StudyError: there is none.
    """
    found = installed_tasks().found
    if name not in found:
        raise StudyError(f"task {name!r}: no such task; installed are {', '.join(found)}")
    return found[name]


def task_of(name: str, settings: Mapping[str, Any]) -> AnyTask:
    """The task that a record tells.

    Args:
        name: of the task.
        settings: its fields; what was a tuple may have become a list.

    Raises:
        StudyError: it is not installed, or has other fields.
    """
    kind = known_task(name)
    fields = {field: tuple(value) if isinstance(value, list) else value
              for field, value in settings.items()}  # fmt: skip
    try:
        return kind(**fields)
    except TypeError as error:
        raise StudyError(f"the installed task {name} has other fields: {error}") from error


def check_task(name: str, loaded: object) -> type[AnyTask]:
    """Checks what can be checked without data.

    Raises:
        PluginError: ``loaded`` is not a task class that keeps the contract.
    """
    kind: type[AnyTask] = check_class(name, loaded, Task)
    if not isinstance(getattr(kind, "words", None), Words):
        raise PluginError(name, f"{kind.__name__}.words must be bench.task.Words")
    if not isinstance(getattr(kind, "reads", None), str):
        raise PluginError(name, f"{kind.__name__}.reads must say which fields its rows have")
    metrics = getattr(kind, "metrics", ())
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics:
        known = ", ".join(METRICS)
        raise PluginError(name, f"{kind.__name__}.metrics must be some of {known}")
    return kind
