"""What transformers and PEFT find a pretrained model by, on any machine."""

from __future__ import annotations

from dataclasses import dataclass

from bench.source import BUNDLED, ModelSource

BUNDLED_ADDRESS = "sentence-transformers/all-MiniLM-L6-v2@1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
"""Where the bundled model was published, see ``bench.source.BUNDLED_SHA256``."""


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
