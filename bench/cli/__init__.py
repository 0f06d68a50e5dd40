"""The command line: the composition root, and the only place that prints."""

from bench.cli.app import main

__all__ = ["main"]
