r"""The leaderboard as LaTeX: two tables for a paper that loads ``\usepackage{booktabs}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reports import show
from reports.analysis import Analysis, Entry
from reports.devices import arms_by_device, compiled_sentence
from reports.escape import plain, without_folders
from reports.leaderboard import Row, rows
from reports.metrics import COLUMNS
from reports.standings import ArmStanding, standings
from reports.text import notes
from reports.text.cautions import shared, timed

_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "…": r"\ldots{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}

COSTS = {
    "trained_parameters": "Parameters",
    "trained_tensors": "Tensors",
    "train_seconds": "Training",
    "inference_ms_p50": "Latency",
    "stored_bytes": "Stored",
}
"""Metrics beside test accuracy, medians over an arm's runs, with short headings."""


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, without folders; ``?`` for what its usual fonts lack."""
    known = re.sub(r"[^\x20-\x7e…]", _letter, plain(without_folders(text)))
    return "".join(_SIGNS.get(sign, sign) for sign in known)


def _letter(found: re.Match[str]) -> str:
    letter = found.group()
    return letter if letter.isalpha() and letter <= "ÿ" else "?"


def latex_tables(analysis: Analysis) -> str:
    """What came of each arm on test, and below it every seed; before any test the search.

    Foreign text is escaped. ``booktabs`` is the only package needed.
    """
    tables = [_leaderboard(analysis), _seeds(analysis)] if analysis.leaders else [_search(analysis)]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def _table(label: str, caption: str, columns: str, body: Iterable[str]) -> str:
    lines = [
        r"\begin{table*}",
        r"  \centering\footnotesize\setlength{\tabcolsep}{4.5pt}",
        f"  \\caption{{{caption}}}",
        f"  \\label{{tab:{label}}}\\smallskip",
        f"  \\begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return " & ".join(cells) + r" \\"


def _grouped(board: Sequence[Row], lines: Sequence[str]) -> Iterable[str]:
    """The lines with a gap wherever the rank changes."""
    yield r"\midrule"
    before = board[0].entry
    for row, line in zip(board, lines, strict=True):
        if (row.entry and row.entry.rank) != (before and before.rank):
            yield r"\addlinespace"
        before = row.entry
        yield line


def _leaderboard(analysis: Analysis) -> str:
    board = rows(analysis)
    heading = _row(
        "Rank", "Method", r"Test accuracy [95\,\%]", "Seeds", r"P(better)", *COSTS.values()
    )
    lines = [_leader(row) for row in board]
    columns = "rllrr" + "r" * len(COSTS)
    body = [heading, *_grouped(board, lines)]
    return _table("leaderboard", _caption(analysis), columns, body)


def _caption(analysis: Analysis) -> str:
    words = analysis.run.study.words
    answered = analysis.leaders[0].confirmed.right("test").shape[1]
    counts = sorted({len(entry.seeds.values) for entry in analysis.leaders})
    seeds = f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}"
    ranks = (
        r" Rank: one more than the number of arms that are significantly better (5\,\% over all"
        " pairs, Holm)."
        if analysis.pairs
        else ""
    )
    return (
        f"Test accuracy on {answered:,} {escape(words.examples)}: mean over {seeds}"
        f" seed{'' if counts[-1] == 1 else 's'} per arm, with 95\\,\\% intervals"
        f" {escape(notes.interval_over(analysis))}.{ranks} P(better): probability of being better"
        f" than the next arm. Latency is per {escape(words.example)}, one at a time; costs are"
        " medians over seeds."
        f"{_timings(analysis)}"
    )


def _timings(analysis: Analysis) -> str:
    shown = timed(analysis)
    said = [
        "the device was shared" if shared(shown) else "",
        "there were several devices" if arms_by_device(shown) else "",
    ]
    reasons = ", and ".join(filter(None, said))
    apart = f" Timings are not comparable: {reasons}." if reasons else ""
    compiled = compiled_sentence(shown)
    return f"{apart} {escape(compiled)}" if compiled else apart


def _leader(row: Row) -> str:
    entry = row.entry
    if entry is None:
        return _without(row, 3 + len(COSTS))
    better = entry.better_than_next
    return _row(
        str(entry.rank),
        escape(row.arm),
        _accuracy(entry),
        escape(row.seeds),
        "" if better is None else escape(show.probability(better).replace("0.", ".")),
        *(escape(row.figure(name)) for name in COSTS),
    )


def _without(row: Row, width: int) -> str:
    return _row("", escape(row.arm), rf"\multicolumn{{{width}}}{{l}}{{{escape(row.untested())}}}")


def _accuracy(entry: Entry) -> str:
    value, low, high = (
        _share(figure) for figure in (entry.accuracy.value, entry.accuracy.low, entry.accuracy.high)
    )
    return f"{value} [{low}, {high}]"


def _share(value: float) -> str:
    """A share without the zero before its point, as papers write it: ``.642``."""
    return show.share(value).removeprefix("0")


def _seeds(analysis: Analysis) -> str:
    board = rows(analysis)
    heading = _row("Rank", "Method", "Before", "Accuracy per seed", "SD", "Min", "Max",
                   "IQM", "Configuration")  # fmt: skip
    lines = [_seed_row(row) for row in board]
    caption = (
        "Test accuracy of every seed of the chosen configurations. Before: accuracy on validation"
        " before training. SD: standard deviation over seeds. IQM: interquartile mean."
    )
    columns = r"rlrp{.18\linewidth}rrrrp{.22\linewidth}"
    return _table("seeds", caption, columns, [heading, *_grouped(board, lines)])


def _seed_row(row: Row) -> str:
    entry, chosen = row.entry, row.chosen
    if entry is None or chosen is None:
        return _without(row, 7)
    seeds, before = entry.seeds, entry.cost("accuracy_before")
    return _row(
        str(entry.rank),
        escape(row.arm),
        "" if before is None else _share(before),
        " ".join(map(_share, seeds.values)),
        "" if seeds.sd is None else _share(seeds.sd),
        *(_share(value) for value in (seeds.low, seeds.high, seeds.iqm)),
        f"{{\\raggedright {escape(show.knobs(chosen.values))}\\par}}",
    )


def _search(analysis: Analysis) -> str:
    run = analysis.run
    heading = _row("Method", "Validation accuracy", "Trials", *COSTS.values())
    lines = [_searched(row) for row in standings(run.study, run.searched)]
    caption = (
        "The search so far: the best trial of each arm. Its validation accuracy is optimistic, and"
        f" no arm's choice has been tested yet.{_timings(analysis)}"
    )
    columns = "lrr" + "r" * len(COSTS)
    return _table("leaderboard", caption, columns, [heading, r"\midrule", *lines])


def _searched(row: ArmStanding) -> str:
    best = row.best
    trials = f"{row.completed}" if row.planned is None else f"{row.completed}/{row.planned}"
    if best is None or best.accuracy is None:
        return _row(escape(row.arm), "", trials, *("" for _ in COSTS))
    costs = (show.figure(COLUMNS[name], COLUMNS[name].read(best)) for name in COSTS)
    return _row(escape(row.arm), _share(best.accuracy.validation), trials, *map(escape, costs))
