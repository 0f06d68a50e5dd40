"""Where the command line prints to, and what its exit codes mean."""

from __future__ import annotations

import sys

from rich.console import Console

SUCCESS, SOME_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

# Wide enough for the leaderboard where there is no terminal to ask.
# Text is printed as it is: `:100:` in a place such as `file.csv:100: label` is a line, no picture.
out = Console(width=None if sys.stdout.isatty() else 120, emoji=False)
err = Console(stderr=True, emoji=False)
