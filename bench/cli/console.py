"""Where the command line prints to, how far it has come, and what its exit codes mean."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SUCCESS, SOME_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

# Wide enough for the leaderboard where there is no terminal to ask.
# Text is printed as it is: `:100:` in a place such as `file.csv:100: label` is a line, no picture.
out = Console(width=None if sys.stdout.isatty() else 120, emoji=False)
err = Console(stderr=True, emoji=False)


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
