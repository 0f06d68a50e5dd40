"""What a launched study takes along to the cluster: its file, and folders of model and data."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.data.rows import READERS
from bench.data.sources import SPLITS
from bench.errors import Faults
from bench.pretrained.source import HUB_FILES

LIMIT = 100 * 2**20
"""Bytes that Ray's job server takes in one upload."""

INPUTS = "inputs"
"""Folder of the copies."""

MADE = (1980, 1, 1, 0, 0, 0)
"""Time of every file in the zip: equal content is an equal zip, which is uploaded once."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A folder that goes along.

    Attributes:
        key: of the study file that names it.
        folder: on this machine; of a dataset it may be a file.
    """

    key: str
    folder: Path

    @property
    def there(self) -> str:
        """Its path in the folder where the driver runs."""
        return f"{INPUTS}/{self.key}/{self.folder.name}"

    @property
    def files(self) -> list[Path]:
        """What a sweep reads of it."""
        if self.folder.is_file():
            return [self.folder]
        tables = [f"{split}{suffix}" for split in SPLITS for suffix in READERS]
        patterns = HUB_FILES if self.key == "model" else tables
        found = {path for pattern in patterns for path in self.folder.glob(pattern)}
        return sorted(path for path in found if path.is_file())


def check_sizes(copies: list[Copy], faults: Faults) -> None:
    """Notes a fault for every folder that is larger than a job server takes."""
    for copy in copies:
        size = sum(path.stat().st_size for path in copy.files)
        if size > LIMIT:
            faults.add(
                f"--{copy.key} {copy.folder}: {size / 2**20:.0f} MiB are more than the"
                f" {LIMIT // 2**20} MiB that Ray's job server takes; put the folder on storage that"
                " the cluster sees and name its path there with --no-copy, or name a Hub id"
            )


def write_parcel(path: Path, study: Path | None, copies: list[Copy]) -> Path:
    """Writes the zip whose content the driver finds in its folder.

    Args:
        path: of the zip.
        study: the study's file; ``None`` for one that comes with the package.
        copies: folders to go along.
    """
    with zipfile.ZipFile(path, "w") as parcel:
        for name, source in _content(study, copies):
            entry = zipfile.ZipInfo(name, MADE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = (
                zipfile.ZIP_STORED if source.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
            )
            parcel.writestr(entry, source.read_bytes())
    return path


def _content(study: Path | None, copies: list[Copy]) -> Iterator[tuple[str, Path]]:
    if study is not None:
        yield study.name, study
    for copy in copies:
        whole = copy.folder.is_file()
        for path in copy.files:
            yield copy.there if whole else f"{copy.there}/{path.name}", path
