"""Dispatch a study's trials: Optuna proposes, Ray Tune runs. Nothing else imports either."""

import gc
import importlib
import os
from pathlib import Path

TOKEN = Path.home() / ".ray" / "auth_token"
"""Where Ray keeps the token of clusters that ask for one."""

if TOKEN.exists():  # `ray start` then asks for it, but joining does not offer it by itself
    os.environ.setdefault("RAY_AUTH_MODE", "token")

LARGE = ("torch", "transformers.modeling_utils", "ray.tune")
"""Packages whose import makes so many objects that looking for garbage among them, in vain, takes
almost half of the time. Command and workers both begin here."""


def _import_large() -> None:
    gc.disable()
    for name in LARGE:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()


_import_large()
