"""One record, one file: its JSON, and what is wrong with a file that holds none."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def to_json(record: BaseModel) -> bytes:
    """The content of its file."""
    return (record.model_dump_json(indent=1) + "\n").encode()


def read_file(path: Path, kind: type[Model]) -> Model | str:
    """The record in a file, or what is wrong with that."""
    if path.is_symlink():
        return "is a link"
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        return first_fault(error)


def first_fault(error: OSError | ValidationError) -> str:
    """An error in one sentence, with the field it is about."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
