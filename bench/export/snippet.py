"""The lines in Python that load an export without paretune, where that is possible."""

from __future__ import annotations

import json
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.anatomy import skeleton
from bench.export.address import public_address
from bench.export.manifest import HeadUse
from bench.export.trained import Trained

TYPES = "token_type_embeddings"
"""How the name of the table of token types ends in every family that has one."""


@cache
def templates() -> Environment:
    """Templates of this package; what they print is not escaped."""
    return Environment(
        loader=PackageLoader("bench.export"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,
    )


def snippet(template: str, trained: Trained, use: HeadUse | None) -> str:
    """A program that answers one example, run in the export's folder.

    Args:
        template: of the form.
        trained: what was exported.
        use: how the head is used; ``None`` where the model has it.
    """
    task, address = trained.spec.task, public_address(trained.source)
    specimen = task.specimen()
    sequences = [tuple(parts) for parts in task.segments(specimen)]
    revision = f', revision="{address.revision}"' if address.revision else ""
    return templates().get_template(template).render(
        base=json.dumps(address.name),
        revision=revision,
        use=use,
        offset=_offset(use),
        types=_types(trained),
        words=task.words,
        auto_class=task.auto_class,
        sequences=repr(sequences),
        names=repr(list(task.described(specimen)[1])),
        padless=trained.tokenizer.pad_token is None,
        joined=len(sequences[0]) > 1 and trained.tokenizer.sep_token is None,
        max_length=trained.spec.settings.max_length,
    )  # fmt: skip


def _types(trained: Trained) -> str | None:
    """Name of the table of token types, where the tokenizer tells types apart."""
    if trained.sample.split.types is None:
        return None
    names = (name for name, _ in skeleton(trained.source.config()).named_modules())
    return next((name for name in names if name.endswith(TYPES)), None)


def _offset(use: HeadUse | None) -> str:
    """What is added to places counted from 0 to make positions; empty for nothing."""
    first = use.first_position if use else None
    return f" {'-' if first < 0 else '+'} {abs(first)}" if first else ""
