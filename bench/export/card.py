"""The model card of an export: what it is, how good, of what, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import yaml
from jinja2 import Template

from bench.data.sources import GENERATED
from bench.export.forms import FORMS
from bench.export.manifest import Manifest
from bench.export.snippet import public_address, snippet, templates
from bench.export.trained import Trained
from bench.export.write import CARD, Checked
from bench.records.study_record import Run, SplitSummary
from bench.records.trial_record import TrialRecord
from reports import show
from reports.escape import Markdown, fenced
from reports.leaderboard import BY_RANK
from reports.metrics import COLUMNS, JUDGED
from reports.repeats import Confirmed, Right, confirmed
from reports.statistics.uncertainty import Estimate, mean_accuracy
from reports.text.markdown_table import safe

COSTS = ("trained_parameters", "stored_bytes", "inference_ms_p50", "inference_ms_p95")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the model card.

    Attributes:
        label: what it is.
        value: with its unit.
        interval: 95 % interval; empty where there is none.
        of: what it was measured of.
    """

    label: str
    value: str
    interval: str
    of: str


def candidate_of(run: Run, record: TrialRecord) -> Confirmed | None:
    """The frozen configuration that a trial is, or repeats; ``None`` if it is none."""
    wanted = record.confirms or record.fingerprint
    found = (each for each in confirmed(run) if each.candidate.fingerprint == wanted)
    return next(found, None)


def figures_of(run: Run, record: TrialRecord) -> list[Figure]:
    """Accuracies, those of fresh seeds first, then sizes and latency of the trial."""
    candidate = candidate_of(run, record)
    return [*_of_candidate(run, candidate), *_of_trial(run, record), *_costs(record)]


def cautions_of(run: Run, record: TrialRecord) -> list[str]:
    """What has to be known of them."""
    candidate = candidate_of(run, record)
    told = []
    if candidate is None:
        told.append(
            "This configuration was not among those that were confirmed on fresh seeds and scored"
            " on test: its validation accuracy is that of the search, which is optimistic."
        )
    elif len(candidate.runs) == 1:
        told.append("An interval of one seed speaks of other questions, not of other seeds.")
    if record.was_shared:
        told.append("Its latency was taken while other trials may have used the same device.")
    return told


def _of_candidate(run: Run, candidate: Confirmed | None) -> Iterator[Figure]:
    if candidate is None or not candidate.runs:
        return
    fresh = "fresh seeds" if run.freeze and run.freeze.seeds else "seed of the search"
    tested = [r for r in candidate.runs if run.study.is_tested(r)]
    if tested:
        rows = [np.equal(r.test.predictions, r.test.answers) for r in tested if r.test]
        yield _accuracy("test accuracy", np.array(rows), f"{len(tested)} {fresh}")
    right = candidate.right("validation")
    yield _accuracy("validation accuracy", right, f"{len(right)} {fresh}")
    for metric in (COLUMNS[name] for name in JUDGED if name != BY_RANK):
        values = [value for r in tested if (value := metric.read(r)) is not None]
        if values:
            of, shown = f"median of {len(values)} {fresh}", show.figure(metric, median(values))
            yield Figure(label=metric.label, value=shown, interval="", of=of)


def _of_trial(run: Run, record: TrialRecord) -> Iterator[Figure]:
    known = record.accuracy
    if known is None or len(known.predictions) != len(run.study.answers):
        return
    right = np.equal([known.predictions], run.study.answers)
    kind = "with a fresh seed" if record.confirms else "of the search"
    yield _accuracy("validation accuracy", right, f"{record.trial}, a trial {kind}")
    if record.test and run.study.is_tested(record):
        answered = np.equal([record.test.predictions], record.test.answers)
        yield _accuracy("test accuracy", answered, record.trial)


def _accuracy(label: str, right: Right, of: str) -> Figure:
    found: Estimate = mean_accuracy(right)
    return Figure(
        label=label,
        value=show.share(found.value),
        interval=show.interval(found.low, found.high),
        of=of,
    )


def _costs(record: TrialRecord) -> Iterator[Figure]:
    device = record.environment.device if record.environment else ""
    precision = record.environment.precision if record.environment else ""
    for name in COSTS:
        metric = COLUMNS[name]
        value = metric.read(record)
        of = f"{record.trial}, on {device} in {precision}" if metric.unit == "ms" else record.trial
        text = show.figure(metric, value) or "not measured"
        yield Figure(label=metric.label, value=text, interval="", of=of)


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
