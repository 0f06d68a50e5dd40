"""What the tests of commands call things by."""

from __future__ import annotations

from collections.abc import Callable

Command = Callable[..., tuple[int, str, str]]
"""Runs a command in this process: exit code, standard output, standard error."""

ACCURACIES = {"full": 0.66, "lora": 0.64, "linear": 0.3}
"""Of the arms of the made-up run that questions are asked of."""
