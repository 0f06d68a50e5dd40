"""One record, one file: its JSON, and what is wrong with a file that holds none."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import LedgerError
from bench.location import Location
from bench.record import TrialRecord
from bench.storage import is_link, read_all

Model = TypeVar("Model", bound=BaseModel)


def to_json(record: BaseModel) -> bytes:
    """The content of its file."""
    return (record.model_dump_json(indent=1) + "\n").encode()


def read_file(path: Location, kind: type[Model]) -> Model | str:
    """The record in a file, or what is wrong with that."""
    return read_files([path], kind)[path]


def read_files(paths: list[Location], kind: type[Model]) -> dict[Location, Model | str]:
    """The record in each file, or what is wrong with that.

    Raises:
        LedgerError: a store does not answer.
    """
    links = {path for path in paths if is_link(path)}
    contents = read_all([path for path in paths if path not in links])
    for path, content in contents.items():
        if _is_away(path, content):
            raise LedgerError(f"{path}: {content!s}; what is there is not looked at: try again")
    return {path: _record(contents.get(path), kind) for path in paths}


def _is_away(path: Location, content: bytes | OSError) -> bool:
    """Whether a store has not answered, which says nothing of the record."""
    is_gone = isinstance(content, FileNotFoundError)
    return isinstance(content, OSError) and not is_gone and not isinstance(path, Path)


def _record(content: bytes | OSError | None, kind: type[Model]) -> Model | str:
    if content is None:
        return "is a link"
    if isinstance(content, OSError):
        return first_fault(content)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        return first_fault(error)


def first_fault(error: OSError | ValidationError) -> str:
    """An error in one sentence, with the field it is about."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)


def read_records(paths: list[Location]) -> dict[Location, TrialRecord | str]:
    """The record of each finished trial, or what is wrong with its file."""
    return {
        path: found
        if isinstance(found, str) or found.fingerprint == path.stem
        else f"holds the record of {found.fingerprint}"
        for path, found in read_files(paths, TrialRecord).items()
    }
