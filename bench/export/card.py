"""The model card of an export: what it is, how good, of what, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from jinja2 import Template

from bench.export.address import public_address
from bench.export.figures import cautions_of, figures_of
from bench.export.forms import FORMS
from bench.export.manifest import Manifest
from bench.export.snippet import snippet, templates
from bench.export.trained import Trained
from bench.export.write import CARD, Checked
from bench.record import TrialRecord
from bench.sources import GENERATED
from bench.study_record import Run, SplitSummary
from reports import show
from reports.escape import Markdown, fenced
from reports.text.markdown_table import safe

UNKNOWN = "unknown"
EMBEDDED_LICENCE = "Apache-2.0"
LIBRARIES = {"peft": "peft", "merged": "transformers"}
"""What the Hub calls what loads a form; any other is loaded by paretune alone."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a model card tells besides the export itself.

    Attributes:
        run: all records.
        record: the trial whose configuration was exported.
        splits: the data as it was used.
        command: that wrote the export.
        notes: what has to be known of it, one sentence each.
    """

    run: Run
    record: TrialRecord
    splits: Mapping[str, SplitSummary]
    command: str
    notes: tuple[str, ...] = ()


def card(manifest: Manifest, trained: Trained, story: Story, checked: Checked) -> str:
    """The card as Markdown.

    Args:
        manifest: what the export is.
        trained: what was exported.
        story: see ``Story``.
        checked: what is known of it since it was read back.
    """
    study = story.run.study
    address = public_address(trained.source)
    text = _template().render(
        manifest=manifest,
        words=trained.spec.task.words,
        library=LIBRARIES.get(manifest.format, "paretune"),
        hub=None if address.is_folder else json.dumps(address.name),
        knobs=show.knobs({**manifest.knobs, "learning_rate": manifest.learning_rate}),
        notes=story.notes,
        figures=figures_of(story.run, story.record),
        cautions=cautions_of(story.run, story.record),
        parameters=show.count(study.total_parameters),
        dataset=study.dataset,
        splits=[_split(name, story, manifest) for name in story.splits],
        licences={
            "model": licence_of(trained.source.folder),
            "data": EMBEDDED_LICENCE if study.dataset in GENERATED else UNKNOWN,
        },
        checked=checked,
        apart=f"{checked.apart:.1g}",
        snippet=snippet(FORMS[manifest.format].template, trained, checked.use).strip(),
        made=fenced(f"{study.command}\n{story.command}"),
        raw=Markdown,
    )
    return text.strip() + "\n"


@cache
def _template() -> Template:
    escaping = templates().overlay(finalize=safe)  # everything a card prints passes there
    return escaping.get_template("card.md.j2")


def _split(name: str, story: Story, manifest: Manifest) -> dict[str, str]:
    summary, run = story.splits[name], story.run
    if name in manifest.trained_on:
        use = "trained on"
    elif name == "validation":
        use = "chose the epoch and the configuration"
    else:
        scored = run.test_scorings
        use = f"not trained on; {scored} trials of the study have answered it"
    return {
        "split": name,
        "fingerprint": summary.fingerprint,
        "examples": show.count(summary.questions),
        "use": use,
    }


def licence_of(folder: Path) -> str:
    """What the card of a model says of its licence, or that it is unknown."""
    path = folder / CARD
    try:
        _, front, _ = path.read_text(encoding="utf-8").split("---\n", 2)
        found = yaml.safe_load(front)
    except (OSError, ValueError, yaml.YAMLError):
        return UNKNOWN
    licence = found.get("license") if isinstance(found, dict) else None
    return str(licence) if isinstance(licence, str) and licence else UNKNOWN
