"""The report as Markdown: what is said where stands in ``templates/report.md.j2``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache, partial

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined, Template

from bench.metrics import METRICS
from bench.records.trial_record import TrialRecord
from reports import facts, results
from reports.analysis import Analysis
from reports.charts.gallery import picture_names
from reports.devices import device_note
from reports.escape import Markdown, fenced, without_folders
from reports.standings import stopped_early
from reports.text import appendix, cautions, findings, notes, sections
from reports.text.markdown_table import safe, shown


def report(analysis: Analysis) -> str:
    """The whole report; expects the figures and the CSV files of ``reports.write`` beside it.

    Foreign text is escaped, absolute paths are cut to file names.
    """
    run = analysis.run
    text = _template().render(
        analysis=analysis,
        run=run,
        study=run.study,
        words=run.study.words,
        goal=METRICS[run.study.objective].label,
        image=partial(_image, picture_names(analysis)),
        together=_together,
        flagged=_flagged,
        apart=_apart,
        sections=sections,
        facts=facts,
        results=results,
        shown=shown,
        appendix=appendix,
        notes=notes,
        findings=findings,
        cautions=cautions,
        drawn_early=bool(stopped_early(run.searched)),
        command=fenced(without_folders(run.study.command)),
    )
    return text.strip() + "\n"


@cache
def _template() -> Template:
    templates = Templates(
        loader=PackageLoader("reports"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=safe,  # everything a template prints passes there
        autoescape=False,  # would escape for HTML; finalize escapes for Markdown
    )
    return templates.get_template("report.md.j2")


def _image(figures: Collection[str], name: str, text: str) -> Markdown:
    """A figure after an empty line; nothing if the report does not have it."""
    return Markdown(f"\n![{text}]({name}.png)" if name in figures else "")


def _flagged(records: Sequence[TrialRecord]) -> Markdown:
    """After an empty line, that timings do not compare; nothing if they do."""
    note = cautions.timing_note(records)
    return Markdown(f"\n{note}" if note else "")


def _apart(records: Sequence[TrialRecord]) -> Markdown:
    """Before an empty line, that timings are of several devices; nothing if they are not."""
    note = device_note(records)
    return Markdown(f"{note}\n\n" if note else "")


def _together(sentences: Iterable[Markdown | None]) -> Markdown:
    """Those that say something, as one paragraph."""
    return Markdown("\n".join(sentence for sentence in sentences if sentence))
