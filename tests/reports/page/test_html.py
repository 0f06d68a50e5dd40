"""The page as text: what it says, and that nothing foreign gets into it as code."""

from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from markupsafe import escape

from bench.records.study_record import Run
from bench.records.trial_record import Status
from reports.analysis import Analysis, analyse
from reports.escape import Markdown, markdown
from reports.page import text as page_text
from reports.page.data import DRAWN, all_trials, page_data
from reports.page.html import content_hash, html_report
from reports.page.tables import failures
from reports.page.text import inline
from tests.helpers.busy import IMPORTANCES, busy_analysis, busy_run
from tests.helpers.records import broken, study, trial

ARMS = ("full", "adapter", "lora")
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028&<!--"


class Parsed(HTMLParser):
    """Elements with attributes and text, as a browser would take them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def having(self, attribute: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(attribute))]

    @property
    def tags(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.elements)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return busy_analysis()


@pytest.fixture(scope="module")
def text(analysis: Analysis) -> str:
    return html_report(analysis)


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    return Parsed(text)


def _data(parsed: Parsed) -> Any:
    return json.loads(parsed.texts["script"][0])


def _hostile() -> Analysis:
    arm = f"a{HOSTILE}"
    asked = study(
        (arm,), planned=2, name=HOSTILE, command=HOSTILE, notices=(HOSTILE,), model=HOSTILE,
        contexts={arm: "c"}, spaces={arm: {HOSTILE: HOSTILE}},
    )  # fmt: skip
    records = [
        trial(arm, context="c", knobs={HOSTILE: HOSTILE}),
        broken(arm, 1, Status.FAILED, HOSTILE).model_copy(update={"context": "c"}),
    ]
    return analyse(Run.of(asked, records, None), {arm: {HOSTILE: 1.0}})


def test_equal_analyses_give_equal_bytes(text: str) -> None:
    assert html_report(analyse(busy_run(12, arms=ARMS), IMPORTANCES)) == text


def test_foreign_text_stays_text_everywhere() -> None:
    page = Parsed(html_report(_hostile()))
    assert page.tags["img"] == 0
    assert page.tags["script"] == 3
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert "alert(1)" in "".join(page.texts["h1"])
    assert _data(page)["trials"]["knobs"].keys() == {
        page_text.clean(HOSTILE),
        "learning_rate",
    }


def test_the_policy_lets_the_own_scripts_run_and_nothing_else(parsed: Parsed) -> None:
    policy = next(content for content in parsed.having("content") if "default-src" in content)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [
        content_hash(code) for code in parsed.texts["script"][1:]
    ]
    assert "http" not in policy


def test_nothing_points_out_of_the_page(parsed: Parsed) -> None:
    links = [*parsed.having("src"), *parsed.having("href")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert set(parsed.having("href")) > {"#pareto", "#leaderboard", "#trials"}


def test_every_name_is_unique_and_every_reference_has_its_target(parsed: Parsed) -> None:
    names = Counter(parsed.having("id"))
    assert max(names.values()) == 1
    referred = [*parsed.having("aria-labelledby"), *parsed.having("aria-describedby")]
    referred += [link[1:] for link in parsed.having("href") if link.startswith("#")]
    assert set(referred) <= set(names)


def test_headings_go_down_one_level_at_a_time(parsed: Parsed) -> None:
    levels = [int(tag[1]) for tag, _ in parsed.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert next(found for tag, found in parsed.elements if tag == "html")["lang"] == "en"


def test_sections_come_in_the_order_of_their_weight(parsed: Parsed) -> None:
    sections = [found["id"] for tag, found in parsed.elements if tag == "section" and "id" in found]
    assert sections == [
        "pareto", "leaderboard", "pairs", "curves", "knobs", "costs", "progress", "trials",
        "failures", "settings",
    ]  # fmt: skip


def test_the_leaderboard_stands_in_the_page_itself(text: str, analysis: Analysis) -> None:
    board = text.split('id="table-leaderboard"')[1].split("</table>")[0]
    rows = board.split("<tbody>")[1].split("</tr>")
    for entry, row in zip(analysis.leaders, rows, strict=False):
        assert f"<strong>{entry.accuracy.value:.3f}</strong>" in row
        assert f"{entry.accuracy.low:.3f} to {entry.accuracy.high:.3f}" in row
        assert f"{entry.confirmed.trained_parameters:,}" in row
        assert row.count("<circle") == len(entry.seeds.values)


def test_a_lost_seed_is_shown(text: str) -> None:
    board = text.split('id="table-leaderboard"')[1].split("</table>")[0]
    assert "4/5, 1 lost" in board
    assert text.count("loss was nan in epoch 3") == 1


def test_the_columns_of_trials_hold_the_records(parsed: Parsed, analysis: Analysis) -> None:
    trials = all_trials(analysis.run)
    columns = _data(parsed)["trials"]
    assert _unpacked(columns["trial"]) == [record.trial for record in trials]
    assert _unpacked(columns["status"]) == [r.status.replace("_", " ") for r in trials]
    shares = [r.accuracy.validation if r.accuracy else None for r in trials]
    assert columns["accuracy"] == pytest.approx(shares, abs=1e-6)
    rates = [float(f"{record.learning_rate:.3g}") for record in trials]
    assert columns["knobs"]["learning_rate"] == rates
    targets = [record.knobs.get("targets") for record in trials]
    assert _unpacked(columns["knobs"]["targets"]) == targets


def _unpacked(column: Any) -> list[Any]:
    if isinstance(column, list):
        return column
    return [None if place is None else column["of"][place] for place in column["at"]]


def test_of_many_trials_the_best_are_drawn_the_best_on_top() -> None:
    run = busy_run(DRAWN + 60, arms=("bitfit",), confirm=0)
    trials = all_trials(run)
    found = page_data(analyse(run))["drawn"]["bitfit"]
    shares = [record.accuracy.validation for place in found if (record := trials[place]).accuracy]
    every = sorted(r.accuracy.validation for r in run.searched if r.accuracy and r.reason is None)
    assert shares == every[-DRAWN:]


def test_a_curve_begins_before_training_and_has_every_epoch(
    parsed: Parsed, analysis: Analysis
) -> None:
    trials = all_trials(analysis.run)
    for place, *shares in _data(parsed)["curves"]["lora"]:
        accuracy = trials[place].accuracy
        assert accuracy is not None
        assert shares == pytest.approx([accuracy.before, *accuracy.per_epoch], abs=1e-4)


def test_knobs_are_laid_out_as_they_were_searched(parsed: Parsed) -> None:
    axes = {axis["knob"]: axis for axis in _data(parsed)["axes"]["lora"]}
    assert axes["rank"] == {"knob": "rank", "low": 1, "high": 64, "log": True}
    assert axes["dropout"] == {"knob": "dropout", "low": 0, "high": 0.3, "log": False}
    assert axes["targets"]["options"] == ["query_value", "attention", "all_linear"]


def test_failures_with_one_reason_share_a_row() -> None:
    records = [broken("lora", n, reason="disk full") for n in range(11)]
    table = failures([*records, broken("lora", 11, Status.DIVERGED), trial("lora", 12)])
    assert [row[1:3] for row in table.rows] == [("failed", "disk full"), ("diverged", "it broke")]
    assert table.rows[0][3] == ", ".join(f"lora-{n:03d}" for n in range(8)) + " and 3 more"
    assert table.rows[0][4] == 11
    assert table.left_out == 0


def test_folders_of_the_machine_stay_out_of_the_page() -> None:
    asked = study(("lora",), planned=2, contexts={"lora": "c"}, command="paretune /home/ann/x.yaml",
                  model="/srv/models/bert")  # fmt: skip
    gone = broken("lora", 1, reason="no file /home/ann/secret/data.bin")
    records = [trial("lora", context="c"), gone.model_copy(update={"context": "c"})]
    text = html_report(analyse(Run.of(asked, records, None)))
    assert "/home" not in text
    assert "/srv" not in text
    assert "data.bin" in text


def test_two_hundred_trials_make_a_small_file() -> None:
    analysis = analyse(busy_run(68, arms=ARMS), IMPORTANCES)
    assert len(analysis.run.searched) > 200
    assert len(html_report(analysis).encode()) < 1_200_000


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("**lora** wins", "<strong>lora</strong> wins"),
        ("*front* and **dominated**", "<em>front</em> and <strong>dominated</strong>"),
        (r"a\*b\_c", "a*b_c"),
        (r"\<b\> & <i>", "&lt;b&gt; &amp; &lt;i&gt;"),
        ("**never closed", "<strong>never closed</strong>"),
    ],
)
def test_sentences_become_html(sentence: str, shown: str) -> None:
    assert inline(Markdown(sentence)) == shown


def test_what_was_escaped_for_markdown_reads_as_it_was_in_html() -> None:
    foreign = r"a **b** \ `c` <d> & [e](f) ~g~ $h$ |i| #j"
    assert inline(markdown(foreign)) == escape(foreign)
