"""How an export is loaded without paretune: public addresses, and the lines in Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.anatomy import skeleton
from bench.export.manifest import HeadUse
from bench.export.trained import Trained
from bench.pretrained.source import BUNDLED, ModelSource

BUNDLED_ADDRESS = "sentence-transformers/all-MiniLM-L6-v2@1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
"""Where the bundled model was published, see ``bench.pretrained.source.BUNDLED_SHA256``."""


@dataclass(frozen=True, kw_only=True)
class PublicAddress:
    """Arguments of ``from_pretrained``.

    Attributes:
        name: a repository of the Hub, or a folder.
        revision: of the repository; ``None`` of a folder.
    """

    name: str
    revision: str | None

    @property
    def is_folder(self) -> bool:
        """Whether only this machine has it."""
        return self.revision is None


def public_address(source: ModelSource) -> PublicAddress:
    """Of a model that was found here."""
    address = BUNDLED_ADDRESS if source.address == BUNDLED else source.address
    if address == str(source.folder):
        return PublicAddress(name=address, revision=None)
    name, _, revision = address.rpartition("@")
    return PublicAddress(name=name, revision=revision)


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
        typed=trained.sample.split.types is not None,
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
