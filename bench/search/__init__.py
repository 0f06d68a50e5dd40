"""Dispatch a study's trials: Optuna proposes, Ray Tune runs. Nothing else imports either."""

import gc
import importlib

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
