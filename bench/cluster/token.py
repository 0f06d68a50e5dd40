"""The token by which a process may use a Ray cluster that asks for one. Imports no Ray."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import ClusterError

PATH = Path.home() / ".ray" / "auth_token"
"""Where Ray keeps it."""


def file() -> Path:
    """Where the token of this process is, if it has one."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", PATH))


def offer() -> None:
    """Has Ray show the token of this machine, if it has one, as ``ray start`` does by itself.

    Ray reads the variable when it is imported: to be called before that.
    """
    if PATH.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def check_file() -> None:
    """Makes sure that nobody else reads the token that this process shows.

    Raises:
        ClusterError: its file is open to others.
    """
    found = file()
    if is_shown() and found.exists() and found.stat().st_mode & 0o077:
        raise ClusterError(f"{found}: can be read by others; run: chmod 600 {found}")


def is_shown() -> bool:
    """Whether this process shows a token to clusters."""
    return os.environ.get("RAY_AUTH_MODE") == "token"
