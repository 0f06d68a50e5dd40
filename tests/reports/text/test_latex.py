"""The leaderboard as LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from bench.records.study_record import Run
from bench.records.trial_record import Status
from reports.analysis import Analysis, analyse
from reports.text.latex import escape, latex_tables
from tests.helpers.busy import busy_run
from tests.helpers.records import broken, one_seed_run, study, trial


@cache
def _busy() -> Analysis:
    return analyse(busy_run(4, arms=("full", "adapter", "lora", "linear")))


def _bodies(text: str) -> list[list[str]]:
    """The rows of every table, headings first, without rules."""
    tables = re.findall(r"\\toprule\n(.*?)\\bottomrule", text, flags=re.S)
    return [[line.strip() for line in body.splitlines() if "&" in line] for body in tables]


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("a_b & 50% $x$ #1 {y}", r"a\_b \& 50\% \$x\$ \#1 \{y\}"),
        (r"\input{x} ~^", r"\textbackslash{}input\{x\} \textasciitilde{}\textasciicircum{}"),
        ("<b>|", r"\textless{}b\textgreater{}\textbar{}"),
        ("/home/ann/model", "\\textasciitilde{}/model"),
        ("模型 é\x1b[2J ±", "?? é ?"),
        ("/srv/a/b.py", r"\ldots{}/b.py"),
    ],
)
def test_foreign_text_is_only_text(foreign: str, shown: str) -> None:
    assert escape(foreign) == shown


def test_rows_have_as_many_cells_as_their_table_has_columns() -> None:
    text = latex_tables(_busy())
    columns = re.findall(r"\\begin\{tabular\}\{(.*)\}", text)
    counts = [len(re.sub(r"p\{.*?\}", "p", spec)) for spec in columns]
    for count, body in zip(counts, _bodies(text), strict=True):
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in body} == {count}
    assert len(re.sub(r"\\[{}]", "", text).split("{")) == len(
        re.sub(r"\\[{}]", "", text).split("}")
    )


def test_intervals_are_written_as_papers_write_them() -> None:
    run = one_seed_run(study(("lora",)), [trial("lora", test=300)])
    text = latex_tables(analyse(run))
    assert ".600 [.556, .642] & 1/1" in text
    assert "Test accuracy on 500 questions: mean over 1 seed per arm" in text
    assert "over questions only: one seed" in text


def test_the_caption_counts_seeds_and_a_gap_parts_the_ranks() -> None:
    text = latex_tables(_busy())
    assert (
        "mean over 4 to 5 seeds per arm, with 95\\,\\% intervals over seeds and questions" in text
    )
    board = text.split(r"\bottomrule")[0]
    parts = board.split(r"\addlinespace")
    ranks = [re.findall(r"^ *(\d+) & ", part, flags=re.M) for part in parts]
    assert [len(set(part)) for part in ranks] == [1] * len(parts)
    assert [part[0] for part in ranks] == list(
        dict.fromkeys(str(entry.rank) for entry in _busy().leaders)
    )
    assert len(parts) > 1


def test_lost_seeds_and_untested_arms_are_in_the_table() -> None:
    assert "4/5, 1 lost" in latex_tables(_busy())
    records = [trial("lora", test=300), broken("full", 0, Status.OUT_OF_MEMORY, "90% & more")]
    text = latex_tables(analyse(one_seed_run(study(("full", "lora")), records)))
    assert r"& full & \multicolumn{8}{l}{1 out of memory, 3 missing: 90\% \& more} \\" in text


def test_before_any_test_the_table_is_the_searchs_and_says_so() -> None:
    text = latex_tables(analyse(Run(study=study(("lora",)), searched=(trial(),))))
    assert "lora & .600 & 1/4 & 74,113" in text
    assert "optimistic" in text


def test_captions_flag_timings_on_a_shared_device() -> None:
    flag = "Timings are not comparable: the device was shared."
    for test in (300, None):
        apart, shared = (
            latex_tables(analyse(one_seed_run(study(("lora",)), [one])))
            for one in (trial(test=test), trial(test=test, shared=True))
        )
        assert flag in shared
        assert flag not in apart


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_tables_compile(tmp_path: Path) -> None:
    searched = Run(study=study(("lora",)), searched=(trial(),))
    for name, analysis in (("tested", _busy()), ("searched", analyse(searched))):
        (tmp_path / f"{name}.tex").write_text(latex_tables(analysis), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{tested}\input{searched}"
        r"\end{document}",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
