"""What commands ask for, from their text."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import Any

from bench.cli.options import parsed
from bench.errors import Faults
from bench.study.file import Study
from bench.study.request import Request


def typed_request(command: str) -> Request:
    """What ``paretune sweep …`` asks for."""
    words = [str(Path(w).expanduser()) if w.startswith("~") else w for w in shlex.split(command)]
    assert words[:2] == ["paretune", "sweep"]
    request, faults = parsed(words[2:])
    faults.raise_any()
    return request


def typed_study(command: str) -> Study:
    """Its study."""
    faults = Faults()
    study = typed_request(command).check(faults)
    faults.raise_any()
    return study


def recorded_request(command: str) -> dict[str, Any]:
    """What ``study.json`` says of it."""
    return typed_request(command).to_json(typed_study(command))


@cache
def usual_request() -> dict[str, Any]:
    """That of a sweep without options."""
    return recorded_request("paretune sweep")
