"""The command line: the composition root, and the only place that prints."""

from bench.cli.entry import main

__all__ = ["main"]
