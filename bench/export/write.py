"""Write an export whole or not at all, and read it back before anyone relies on it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import ExportError, ExportRefused
from bench.export.forms import FORMS
from bench.export.forms.base import Form
from bench.export.forms.merged import CLOSE
from bench.export.head import read_use
from bench.export.logits import logits_of
from bench.export.manifest import HEAD_USE, MANIFEST, HeadUse, Manifest, write_part
from bench.export.trained import Trained
from bench.storage.files import storage_error

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What is known of an export that was read back.

    Attributes:
        told: sentences for its reader.
        use: how the head is used; ``None`` where it is not beside the model.
        examples: made-up examples that were answered by both.
        apart: largest difference of two logits.
    """

    told: Sequence[str]
    use: HeadUse | None
    examples: int
    apart: float


MakeCard = Callable[[Checked], str]
"""The model card, given what is known of the export."""


def check_place(folder: Path) -> None:
    """Makes sure that an export can be written there, before anything is computed for it.

    Raises:
        ExportRefused: something is there already.
    """
    if ":/" in str(folder):  # a path holds one slash of an address
        raise ExportRefused(f"--to {folder}: must be a folder of this machine")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ExportRefused(f"--to {folder}: is no folder; choose one that is not there yet")
    if folder.is_dir() and (held := sorted(path.name for path in folder.iterdir())):
        raise ExportRefused(
            f"--to {folder}: holds {held[0]} already; choose an empty or new folder"
        )


def write_export(
    form: Form, trained: Trained, manifest: Manifest, folder: Path, make_card: MakeCard
) -> Checked:
    """Writes an export and its model card.

    Before it is given its name it is loaded as its reader will load it, and has to give the logits
    of the trial's own model.

    Args:
        form: which.
        trained: what is exported.
        manifest: what it is.
        folder: where to; absent or empty.
        make_card: see ``MakeCard``.

    Raises:
        ExportRefused: the trial cannot be written in this form, or would compute something else.
        StorageError: it cannot be written.
    """
    check_place(folder)
    reason = form.refusal(trained)
    if reason:
        raise _refused(form, trained, reason)
    with _whole(folder) as draft:
        told = form.write(trained, draft)
        write_part(draft / MANIFEST, manifest)
        checked = Checked(
            told=told,
            use=read_use(draft) if (draft / HEAD_USE).is_file() else None,
            examples=trained.sample.split.examples,
            apart=_apart(form, trained, manifest, draft),
        )
        (draft / CARD).write_text(make_card(checked), encoding="utf-8")
    return checked


def _apart(form: Form, trained: Trained, manifest: Manifest, draft: Path) -> float:
    """Largest difference of two logits, if it is small enough."""
    try:
        loaded = form.load(draft, manifest, form.base(draft, manifest, lambda: trained.source))
        given = logits_of(loaded.to(trained.device), trained.sample, trained.device)
    except ExportError as error:
        raise _refused(form, trained, " ".join(error.problems)) from error
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        raise _refused(form, trained, f"what was written cannot be run: {error}") from error
    inside = np.isfinite(trained.logits)
    wanted, found = trained.logits[inside], given[inside]
    apart = float(np.abs(found - wanted).max())
    if not np.allclose(found, wanted, rtol=CLOSE, atol=CLOSE):
        raise _refused(
            form, trained, f"what was written gives other logits, up to {apart:.2g} apart"
        )
    return apart


def _refused(form: Form, trained: Trained, reason: str) -> ExportRefused:
    others = [other.name for other in FORMS.values()
              if other is not form and other.refusal(trained) is None]  # fmt: skip
    name = trained.spec.strategy.name
    return ExportRefused(
        f"--format {form.name} does not fit {name}: {reason}; what fits: {', '.join(others)}"
    )


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside another, which takes its place at the end and is gone after an error.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=folder.absolute().parent))
    except OSError as error:
        raise storage_error(folder, 0, error) from error
    try:
        yield draft
        for path in draft.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        draft.chmod(0o755)
        draft.replace(folder)
    except OSError as error:
        raise storage_error(folder, 0, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
