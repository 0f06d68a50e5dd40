"""The command ``paretune export``: what a trial has trained, as files that other tools load."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.cli.console import SUCCESS, err, out
from bench.cli.models.chosen import Chosen, check_form, choose, folder_size
from bench.errors import ExportRefused, Faults
from bench.export.card import Story, card
from bench.export.forms import FORMS
from bench.export.manifest import Manifest
from bench.export.trained import Trained
from bench.export.write import check_place, write_export
from bench.pretrained.source import ModelSource
from bench.storage.files import Location
from bench.study.provenance import shown_command
from reports import show
from reports.escape import plain


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked of an export.

    Attributes:
        run: the run folder.
        trial: name of a trial, or ``best``.
        to: the folder to write.
        form: name of the form.
        model: where the pretrained model lies; ``None`` where the run had it.
        as_json: one JSON document instead of lines.
    """

    run: Location
    trial: str
    to: Path
    form: str
    model: str | None
    as_json: bool

    def checked(self) -> tuple[Chosen, ModelSource]:
        """The trial and its pretrained model.

        Raises:
            InputError: with everything that is wrong.
        """
        faults, chosen, source = Faults(), None, None
        with faults.gathered():
            check_form(self.form)
        with faults.gathered():
            check_place(self.to)
        with faults.gathered():
            chosen = choose(self.run, self.trial)
            source = chosen.source(self.model)
        faults.raise_any(ExportRefused)
        assert chosen is not None
        assert source is not None
        return chosen, source


def export_trial(wanted: Wanted) -> int:
    """Writes an export and returns the exit code.

    Raises:
        InputError: with everything that is wrong.
        StorageError: it cannot be written.
    """
    chosen, source = wanted.checked()
    trained = Trained(chosen.spec, source, chosen.tensors())
    assert chosen.record.accuracy is not None  # a completed trial has one
    epochs = chosen.record.accuracy.best_epoch
    manifest = chosen.manifest(wanted.form, source, epochs, ("train",))
    story = Story(
        run=chosen.run,
        record=chosen.record,
        splits=chosen.run.study.splits,
        command=shown_command(sys.argv[1:]),
        notes=chosen.notes(source),
    )
    write(wanted, trained, manifest, story)
    return SUCCESS


def write(wanted: Wanted, trained: Trained, manifest: Manifest, story: Story) -> None:
    """Writes an export and says so.

    Raises:
        ExportRefused: the trial cannot be written in this form.
        StorageError: it cannot be written.
    """
    checked = write_export(
        FORMS[wanted.form],
        trained,
        manifest,
        wanted.to,
        lambda checked: card(manifest, trained, story, checked),
    )
    size = folder_size(wanted.to)
    if wanted.as_json:
        document = {
            "export": str(wanted.to),
            "format": manifest.format,
            "trial": manifest.trial,
            "trained_on": manifest.trained_on,
            "epochs": manifest.epochs,
            "seed": manifest.seed,
            "bytes": size,
            "largest_difference": checked.apart,
            "notes": [*story.notes, *checked.told],
        }
        print(json.dumps(document))  # noqa: T201
        return
    for note in story.notes:
        say(f"note: {note}", to_errors=True)
    say(f"{manifest.trial} of {manifest.study}, {manifest.format}: {wanted.to} ({show.size(size)})")
    say(f"read back: logits differ by at most {checked.apart:.1g}")
    say(f"figures, licences and how to load it: {wanted.to / 'README.md'}")


def say(text: str, *, to_errors: bool = False) -> None:
    """Prints a line."""
    console = err if to_errors else out
    console.print(plain(text), markup=False, highlight=False, soft_wrap=True)
