"""How far something has come, on a terminal; nothing is shown elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.cli.console import err


@contextlib.contextmanager
def counted(label: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error.

    Args:
        label: of what is counted.
        total: how many there are.

    Yields:
        What is told of so many more that are done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)
