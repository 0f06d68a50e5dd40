"""The harness: contracts, engine, search and command line of paretune."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("paretune")
except PackageNotFoundError:  # an unpacked source tree that was never installed
    __version__ = "0+unknown"
