"""The report as one HTML file that needs nothing else: tables, charts and what draws them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.metrics import METRICS
from bench.records.trial_record import TrialRecord
from reports import facts, results, show
from reports.analysis import Analysis
from reports.charts.cost import PANELS, cost_rows, leaders
from reports.charts.gallery import page_charts
from reports.charts.style import config
from reports.charts.vega import arm_names
from reports.devices import device_note
from reports.escape import Markdown, without_folders
from reports.leaderboard import rows
from reports.metrics import COLUMNS, besides_accuracy, searched, tested
from reports.page import parts as page_parts
from reports.page import tables as page_tables
from reports.page import tables_of_results
from reports.page import text as page_text
from reports.page.data import DRAWN, all_trials, page_data
from reports.page.text import clean
from reports.text import cautions, findings, notes

FIRST_PAGE = 25
"""Trials of the table that stand in the page itself; the script shows the others."""

OVER = "over seeds and {0}, of a single seed over {0} only"
"""What the intervals of tested configurations speak of, leaders or not."""

SCRIPTS = ("data.js", "charts.js", "tables.js", "page.js")


def html_report(analysis: Analysis) -> str:
    """The whole page; equal analyses give equal text.

    Nothing is loaded from anywhere. Foreign text is escaped, absolute paths are cut to file names,
    and the page's own policy lets no other script run than the ones it was written with.

    Args:
        analysis: the run.
    """
    scripts = (library(), application())
    parts: dict[str, Any] = {
        **_sentences(analysis),
        **_tables(analysis),
        **_drawings(analysis),
        "style": Markup(source("report.css")),
        "scripts": scripts,
        "hashes": [content_hash(code) for code in scripts],
    }
    return _templates().get_template("report.html.j2").render(parts).strip() + "\n"


def _drawings(analysis: Analysis) -> dict[str, Any]:
    run, data = analysis.run, page_data(analysis)
    drawn = {arm: len(data["drawn"][clean(arm)]) for arm in arm_names(run)}
    specs = page_charts(analysis, max(drawn.values(), default=0))
    data["charts"] = {name: vars(chart) for name, chart in specs.items()}
    data["look"] = config(len(arm_names(run)), "--sans", "--{}".format)
    return {
        "looks": page_parts.looks(run),
        "strips": page_parts.strips(analysis.leaders),
        "matrix": page_parts.matrix(analysis),
        "panels": [panel for panel in PANELS if cost_rows(panel, leaders(analysis))],
        "shown_arm": _most_searched(analysis),
        "drawn": drawn,
        "most_drawn": DRAWN,
        "data": page_text.json(data),
    }


def _most_searched(analysis: Analysis) -> str | None:
    """The arm with most knobs, of those the better."""
    spaces = analysis.run.study.spaces
    order = [*(entry.arm for entry in analysis.leaders), *spaces]
    return max(order, key=lambda arm: len(spaces.get(arm, ())), default=None)


def _flags(records: Sequence[TrialRecord]) -> Markdown | None:
    """What keeps timings that stand together from being compared."""
    notes = filter(None, (cautions.timing_note(records), device_note(records)))
    return Markdown(" ".join(notes)) or None


def _sentences(analysis: Analysis) -> dict[str, Any]:
    run = analysis.run
    return {
        "analysis": analysis,
        "study": run.study,
        "words": run.study.words,
        "goal": METRICS[run.study.objective].label,
        "command": without_folders(run.study.command),
        "banners": findings.banners(analysis),
        "summary": findings.summary(analysis),
        "protocol": notes.protocol(run),
        "warnings": cautions.warnings(analysis),
        "timing": {
            "tested": _flags(cautions.tested(analysis)),
            "shown": _flags(cautions.timed(analysis)),
            "searched": _flags(run.searched),
            "all": _flags((*run.searched, *run.confirmed)),
        },
        "halving": findings.halving_note(run),
        "over": OVER.format(run.study.words.examples),
        "interval_over": notes.interval_over(analysis),
        "optimistic": notes.optimistic(run),
        "notes": {
            "board": [
                notes.ranks(analysis),
                notes.cochran(analysis),
                notes.scorings(run),
                notes.stopped(run),
            ],
            "places": notes.places(analysis),
            "hypervolume": notes.hypervolume(analysis),
            "expected": notes.expected_best(analysis),
        },
    }


def _goals(analysis: Analysis) -> list[tuple[str, str]]:
    """Name and heading of what the search went by, where the leaderboard does not show it yet."""
    study = analysis.run.study
    goal = tested(study) if analysis.leaders else searched(study)
    return [(name, COLUMNS[name].label) for name in besides_accuracy(study, goal)]


def _tables(analysis: Analysis) -> dict[str, Any]:
    run, board = analysis.run, rows(analysis)
    trials = all_trials(run)
    return {
        "board": board,
        "goals": _goals(analysis),
        "completed": {row.arm: row.standing.completed for row in board},
        "trial_count": len(trials),
        "first_page": page_tables.trials(trials[:FIRST_PAGE]),
        "tables": {
            "scores": results.scores(analysis),
            "front": results.front(analysis),
            "search_front": results.search_front(run),
            "pairs": results.pairs(analysis),
            "costs": tables_of_results.costs(analysis),
            "budget": page_tables.budget(board, run),
            "failures": page_tables.failures(trials),
            "settings": facts.settings(run),
            "spaces": facts.spaces(run),
            "learnt": facts.learnt(run),
            "splits": facts.splits(run),
            "baselines": page_tables.baselines(run),
            "provenance": facts.provenance(run),
        },
    }


@cache
def _templates() -> Templates:
    templates = Templates(
        loader=PackageLoader("reports"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=page_text.shown,
        autoescape=True,
    )
    templates.globals["show"] = show
    return templates


def source(name: str) -> str:
    """A template, style sheet or script as it was written."""
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), name)[0]


@cache
def library() -> Markup:
    """Vega, Vega-Lite and vega-embed as one module; ``vegaEmbed`` becomes a global."""
    import vl_convert

    return page_text.script(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


@cache
def application() -> Markup:
    """The page's own script."""
    return page_text.script("\n".join(source(name) for name in SCRIPTS))


def content_hash(code: str) -> str:
    """Name of a script in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
