"""Where a run folder lies: a folder of this machine, or a place in an object store.

A plain path is a ``Path``; anything with ``://`` goes through fsspec, as a ``UPath`` of the same
methods. Storage that is mounted, such as NFS, is a plain path.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import fsspec
from fsspec.utils import get_protocol
from upath import UPath

from bench.errors import LedgerError

Location: TypeAlias = Path | UPath

RUNS = Path("runs")
"""Where run folders lie unless asked otherwise, each by the name of its study."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Extra of this distribution per protocol."""

NO_STORE = frozenset({"memory", "data", "http", "https"})
"""Protocols of fsspec to which nobody else can write, or nothing can be written."""

CREDENTIALS = re.compile(r"://[^/]*@")


def location(text: str) -> Location:
    """A place from what was typed.

    Raises:
        LedgerError: it is no place where a run folder could be.
    """
    if "://" not in text:
        return Path(text)
    check_address(text)
    protocol = get_protocol(text)
    if protocol in {"file", "local"}:
        return Path(text.partition("://")[2])
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        known = "s3://, gs:// or another protocol of fsspec"
        raise LedgerError(f"{text}: {protocol}:// is not known; use a path, {known}") from error
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        way = f"pip install 'paretune[{extra}]'" if extra else str(error)
        raise LedgerError(f"{text}: the package for {protocol}:// is missing: {way}") from error
    # Listings are kept by some file systems, which would hide what others have written since.
    return UPath(text.rstrip("/"), use_listings_cache=False)


def check_address(text: str) -> None:
    """Makes sure that what was typed is no secret, and no place where nobody could write.

    Raises:
        LedgerError: it is.
    """
    protocol = get_protocol(text)
    if CREDENTIALS.search(text):
        raise LedgerError(
            f"{protocol}://…: holds credentials, which would be written into every report; give"
            " them by the environment or the configuration of the store's own tools"
        )
    if protocol in NO_STORE:
        raise LedgerError(f"{text}: {protocol}:// cannot hold a run folder; use s3:// or a path")
