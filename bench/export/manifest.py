"""What an export is: the content of ``paretune.json``, from which its model is built again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import NonNegativeInt

from bench.errors import ExportError
from bench.records.spec import Pooling, TrainSettings
from bench.records.trial_record import Part
from bench.space import Value
from bench.storage.files import read_file, to_json

P = TypeVar("P", bound=Part)

EXPORT_SCHEMA: Final = 1
"""Version of the file's JSON; a reader refuses others by name."""

MANIFEST = "paretune.json"
HEAD_WEIGHTS, HEAD_USE = "head.safetensors", "head.json"


class Base(Part):
    """The pretrained model that was adapted.

    Attributes:
        name: what it was asked by.
        address: what ``bench.pretrained.source.locate`` finds it by.
        fingerprint: commit of the Hub, or content hash.
        tokenizer: content hash of its tokenizer.
    """

    name: str
    address: str
    fingerprint: str
    tokenizer: str


class HeadUse(Part):
    """How the scoring head is put on the states of a backbone: the content of ``head.json``.

    A logit is ``weight · vector + bias``, the vector being that of ``pooling`` among the states of
    the text; in training there is dropout before.

    Attributes:
        pooling: ``cls`` the first state, ``mean`` over the text, ``last`` state of the text.
        width: features of a state.
        dropout: in training.
        leading_states: states before those of the text, to be cut off.
        drops_types: whether the embeddings of token types have to be added to those of the words,
            less that of type 0, because what loads the backbone leaves the types out.
        first_position: what has to be passed as position of the first token, and one more for each
            that follows; ``None`` where no positions have to be passed.
    """

    pooling: Pooling
    width: int
    dropout: float
    leading_states: NonNegativeInt = 0
    drops_types: bool = False
    first_position: int | None = None


class Manifest(Part):
    """What was exported.

    Attributes:
        format: one of ``bench.export.forms.FORMS``.
        paretune: version that wrote it.
        study: name of the study.
        trial: name of the trial whose configuration this is.
        fingerprint: of the trial.
        task: name of the task; ``task_settings`` is what the data have settled of it.
        columns: fields of the training data that were read, by what they are of.
        strategy: name of its strategy; ``knobs`` and ``learning_rate`` are its values.
        seed: that it was trained with.
        settings: training settings.
        epochs: that it was trained for.
        trained_on: splits.
        base: the pretrained model.
    """

    schema_version: Literal[1] = EXPORT_SCHEMA
    format: str
    paretune: str
    study: str
    trial: str
    fingerprint: str
    task: str
    task_settings: dict[str, Any]
    columns: dict[str, str]
    strategy: str
    knobs: dict[str, Value]
    learning_rate: float
    seed: int
    settings: TrainSettings
    epochs: int
    trained_on: tuple[str, ...]
    base: Base


def read_manifest(folder: Path) -> Manifest:
    """What an export is.

    Raises:
        ExportError: the folder is none.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ExportError(
            f"{folder}: no {MANIFEST} here; name a folder that `paretune export` or `paretune"
            " train` wrote"
        )
    return read_part(path, Manifest)


def read_part(path: Path, kind: type[P]) -> P:
    """A file of an export.

    Raises:
        ExportError: it cannot be read.
    """
    found = read_file(path, kind)
    if isinstance(found, str):
        raise ExportError(f"{path}: {found}")
    return found


def write_part(path: Path, part: Part) -> None:
    """Writes a file of an export."""
    path.write_bytes(to_json(part))
