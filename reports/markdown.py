"""The report as Markdown: what is said where stands in ``templates/report.md.j2``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined, Template

from bench.record import Status, StudyRecord, TrialRecord
from reports import findings, show
from reports.escape import Markdown, fenced, headline, markdown, without_folders
from reports.front import points
from reports.metrics import METRICS, metric
from reports.standings import Standing, in_order, standings, stopped_early


def report(study: StudyRecord, records: Iterable[TrialRecord]) -> str:
    """The whole report; expects ``pareto.png`` and the CSV files beside it.

    Foreign text is escaped, absolute paths are cut to file names.
    """
    ordered = in_order(study, records)
    rows = standings(study, ordered)
    text = _template().render(
        study=study,
        banners=findings.banners(study, rows),
        summary=findings.summary(rows, ordered),
        leaderboard=leaderboard(rows),
        selection=findings.selection_note(ordered),
        timing=findings.timing_note(ordered),
        front=front(ordered),
        warnings=findings.warnings(study, ordered),
        budget=budget(rows, ordered),
        halving=findings.halving_note(study, rows),
        drawn_early=bool(stopped_early(ordered)),
        trials=trials(ordered),
        failures=failures(ordered),
        settings=settings(study),
        spaces=spaces(study),
        splits=splits(study),
        provenance=provenance(study, ordered),
        command=fenced(without_folders(study.command)),
    )
    return text.strip() + "\n"


@cache
def _template() -> Template:
    templates = Templates(
        loader=PackageLoader("reports"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_safe,
        autoescape=False,  # would escape for HTML; finalize escapes for Markdown
    )
    return templates.get_template("report.md.j2")


def _safe(value: object) -> str:
    """Everything a template prints passes here, so nothing foreign gets by unescaped."""
    return value if isinstance(value, Markdown) else markdown(without_folders(str(value)))


def table(headings: Sequence[str], rows: Iterable[Iterable[object]], *, left: int = 1) -> Markdown:
    """A Markdown table; cells are escaped, ``None`` is empty.

    Args:
        headings: one per column.
        rows: cells.
        left: how many columns are text and aligned left; the others are numbers.
    """
    rules = ["---" if index < left else "---:" for index in range(len(headings))]
    body = [["" if cell is None else _safe(cell) for cell in row] for row in rows]
    lines = [[_safe(heading) for heading in headings], rules, *body]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _figures(record: TrialRecord | None, *names: str) -> list[str]:
    if record is None:
        return [""] * len(names)
    return [show.figure(metric(name), metric(name).read(record)) for name in names]


def leaderboard(rows: Sequence[Standing]) -> Markdown:
    """One row per arm with the figures of its chosen trial."""
    names = (
        "validation_accuracy",
        "trained_tensors",
        "trained_parameters",
        "train_seconds",
        "inference_seconds",
        "inference_ms_p50",
    )
    headings = [METRICS[name].label for name in names]
    return table(
        ("arm", "knobs", "accuracy before", "test accuracy (95 % interval)", *headings, "trials"),
        (
            [
                row.arm,
                show.knobs(row.best.values) if row.best else row.said(),
                *_figures(row.best, "accuracy_before"),
                _test(row),
                *_figures(row.best, *names),
                _done(row),
            ]
            for row in rows
        ),
        left=2,
    )


def _test(row: Standing) -> str:
    interval = row.test_interval
    if row.best is None or row.best.test is None or interval is None:
        return ""
    low, high = show.share(interval.low), show.share(interval.high)
    return f"{show.share(row.best.test.accuracy)} ({low} to {high})"


def _done(row: Standing) -> str:
    done = f"{row.completed}" if row.planned is None else f"{row.completed}/{row.planned}"
    return f"{done}, {row.pruned} stopped early" if row.pruned else done


def front(records: Sequence[TrialRecord]) -> Markdown | None:
    """The trials on the front, fewest trained parameters first."""
    found = [point.record for point in points(records) if point.on_front]
    if not found:
        return None
    names = ("trained_parameters", "validation_accuracy", "train_seconds", "inference_ms_p50")
    return table(
        ("trial", "knobs", *(METRICS[name].label for name in names)),
        ([record.trial, show.knobs(record.values), *_figures(record, *names)] for record in found),
        left=2,
    )


def budget(rows: Sequence[Standing], records: Sequence[TrialRecord]) -> Markdown:
    """Trials and training time each arm was given."""
    spent = {
        row.arm: sum(r.seconds.train for r in records if r.arm == row.arm and r.seconds)
        for row in rows
    }
    return table(
        ("arm", "planned", "completed", "failed", "pruned", "skipped", "training time, all trials"),
        (
            [
                row.arm,
                row.planned,
                row.completed,
                row.failed,
                row.pruned,
                row.ends.get(Status.SKIPPED, 0),
                show.duration(spent[row.arm]),
            ]
            for row in rows
        ),
    )


def trials(records: Sequence[TrialRecord]) -> Markdown | None:
    """All finished trials, compact."""
    if not records:
        return None
    names = ("validation_accuracy", "trained_parameters", "train_seconds", "inference_ms_p50")
    return table(
        ("trial", "status", "knobs", *(METRICS[name].label for name in names)),
        (
            [
                record.trial,
                record.status.replace("_", " "),
                show.knobs(record.values),
                *_figures(record, *names),
            ]
            for record in records
        ),
        left=3,
    )


def failures(records: Sequence[TrialRecord]) -> Markdown | None:
    """Trials without a result and why; of a traceback the last line."""
    found = [record for record in records if record.status is not Status.COMPLETED]
    if not found:
        return None
    return table(
        ("trial", "status", "attempts", "reason"),
        (
            [r.trial, r.status.replace("_", " "), r.attempts, headline(r.reason or "")]
            for r in found
        ),
        left=4,
    )


def settings(study: StudyRecord) -> Markdown:
    """How every trial was trained, and how some were stopped."""
    halving = study.halving.model_dump() if study.halving else {}
    return table(("setting", "value"), {**asdict(study.settings), **halving}.items(), left=2)


def spaces(study: StudyRecord) -> Markdown:
    """What was searched, one row per arm and knob."""
    return table(
        ("arm", "strategy", "knob", "range"),
        (
            [arm, study.arms.get(arm), knob, text]
            for arm, knobs in study.spaces.items()
            for knob, text in knobs.items()
        ),
        left=4,
    )


def splits(study: StudyRecord) -> Markdown:
    """The splits as they were used."""
    return table(
        ("split", "fingerprint", "questions"),
        (
            [name, split.fingerprint, show.count(split.questions)]
            for name, split in study.splits.items()
        ),
        left=2,
    )


def provenance(study: StudyRecord, records: Sequence[TrialRecord]) -> Markdown:
    """What the figures came from: code, model, machines. Differing values are all listed."""
    seen = [record.environment for record in records if record.environment]
    fields = ("device", "precision", "threads", "attention", "python", "system", "packages")
    return table(
        ("of", "value"),
        [
            ["paretune", study.paretune],
            ["commit", study.commit or "not in a checkout"],
            ["model", study.model],
            ["model fingerprint", study.model_fingerprint],
            ["tokenizer fingerprint", study.tokenizer],
            ["backbone parameters", show.count(study.total_parameters)],
            ["dataset", study.dataset],
            *([name, "; ".join(findings.environment_values(seen, name))] for name in fields),
        ],
        left=2,
    )
