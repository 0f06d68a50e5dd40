"""Tables of what a study was: settings, search spaces, data, and where its figures come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from bench.records.study_record import Run
from bench.records.trial_record import Environment
from reports import show
from reports.metrics import COLUMNS, searched
from reports.table import Cell, Table


def settings(run: Run) -> Table:
    """How every trial was trained, and how some were stopped."""
    study = run.study
    halving = study.halving.model_dump() if study.halving else {}
    given = {**asdict(study.settings), **halving, "sampler": study.sampler, "seed": study.seed}
    return Table(
        name="settings",
        headings=("setting", "value"),
        rows=tuple((name, str(value)) for name, value in given.items()),
        texts=2,
    )


def spaces(run: Run) -> Table:
    """What was searched, one row per arm and knob."""
    return Table(
        name="spaces",
        headings=("arm", "strategy", "knob", "range"),
        rows=tuple(
            (arm, run.study.arms.get(arm), name, str(knob))
            for arm, knobs in run.study.spaces.items()
            for name, knob in knobs.items()
        ),
        texts=4,
    )


def learnt(run: Run) -> Table:
    """What was learnt: the task, what the training data settled of it, fields, and objective."""
    study = run.study
    settled = ((name.replace("_", " "), value) for name, value in study.task_settings.items())
    return Table(
        name="learnt",
        headings=("what was learnt", "value"),
        rows=(
            ("task", study.task),
            *((name, _said(value)) for name, value in settled),
            *((f"{role} column", name) for role, name in study.columns.items()),
            ("objective", COLUMNS[searched(study)].pointed),
        ),
        texts=2,
    )


def _said(value: object) -> str:
    """What a task has settled, in words; of many names the first and how many there are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and value:
        return f"{len(value)}: {show.some([str(one) for one in value])}"
    return str(value)


def splits(run: Run) -> Table:
    """The splits as they were used."""
    return Table(
        name="splits",
        headings=("split", "fingerprint", run.study.words.examples),
        rows=tuple(
            (name, split.fingerprint, Cell(text=show.count(split.questions)))
            for name, split in run.study.splits.items()
        ),
        texts=2,
    )


def provenance(run: Run) -> Table:
    """What the figures came from: code, model, machines. Differing values are all listed."""
    study = run.study
    seen = [r.environment for r in (*run.searched, *run.confirmed) if r.environment]
    fields = ("device", "precision", "threads", "attention", "python", "system", "packages")
    return Table(
        name="provenance",
        headings=("of", "value"),
        rows=(
            ("paretune", study.paretune),
            ("commit", study.commit or "not in a checkout"),
            ("model", study.model),
            ("model fingerprint", study.model_fingerprint),
            ("tokenizer fingerprint", study.tokenizer),
            ("backbone parameters", show.count(study.total_parameters)),
            ("dataset", study.dataset),
            *((name, "; ".join(environment_values(seen, name))) for name in fields),
        ),
        texts=2,
    )


def environment_values(seen: Iterable[Environment], name: str) -> list[str]:
    """The different values of one field of the environments, as text, in order of appearance."""
    values = (getattr(environment, name) for environment in seen)
    texts = (
        ", ".join(f"{key} {version}" for key, version in sorted(value.items()))
        if isinstance(value, dict)
        else str(value)
        for value in values
    )
    return list(dict.fromkeys(texts))
