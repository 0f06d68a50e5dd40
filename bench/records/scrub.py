"""Keep secrets out of what is written and printed."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

NAMED = re.compile("TOKEN|SECRET|KEY|PASSWORD", re.IGNORECASE)
"""Environment variables whose values are secrets."""

SHORTEST = 6
"""Characters of a value that is taken for a secret: shorter ones are switches such as ``false``."""

HIDDEN = "***"

LABELS = frozenset(
    {"arm", "arms", "strategy", "status", "knobs", "fingerprint", "context", "contexts"}
)
"""Fields that name a trial and its configuration: chosen from what is installed and asked, and
compared when a run goes on, so that they are left as they are."""

_ALWAYS = (r"\bhf_[A-Za-z0-9]{10,}", r"(?<=://)[^\s/@]+(?=@)")
"""Tokens of the Hub, and names and passwords in addresses."""

Model = TypeVar("Model", bound=BaseModel)


def scrub(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text with every secret hidden, and without the name of this machine.

    Args:
        text: any.
        environment: whose variables hold secrets.
    """
    return _pattern(_secrets(environment)).sub(HIDDEN, text)


def scrubbed(model: Model, environment: Mapping[str, str] = os.environ) -> Model:
    """The same record with ``scrub`` applied to every text in it but labels."""
    pattern = _pattern(_secrets(environment))
    if not pattern.search(model.model_dump_json()):
        return model
    clean = _each(model.model_dump(mode="json"), pattern)
    return type(model).model_validate_json(json.dumps(clean))


def _each(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {key: item if key in LABELS else _each(item, pattern) for key, item in value.items()}
    if isinstance(value, list):
        return [_each(item, pattern) for item in value]
    return value


def _secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Longest first, since one can begin with another; as they are and as JSON writes them."""
    named = {
        value.strip()
        for name, value in environment.items()
        if NAMED.search(name) and len(value.strip()) >= SHORTEST
    }
    forms = named | {
        json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        for value in named
        for ascii_only in (True, False)
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=8)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    host = socket.gethostname()
    known = [re.escape(secret) for secret in secrets]
    names = {host, host.partition(".")[0]} - {"", "localhost"}
    machine = [rf"\b{re.escape(name)}\b" for name in sorted(names, key=len, reverse=True)]
    return re.compile("|".join([*known, *_ALWAYS, *machine]))
