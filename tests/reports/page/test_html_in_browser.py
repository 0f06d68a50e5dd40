"""The page in a real browser: it draws, answers to its reader, and asks for nothing."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from bench.records.study_record import Run
from bench.records.trial_record import Status
from reports.analysis import Analysis, analyse
from reports.charts.labels import Box
from reports.page.html import html_report
from tests.helpers.browser import browser as start
from tests.helpers.browser import column, inks, opened, point, printed
from tests.helpers.busy import IMPORTANCES, busy_analysis, busy_run
from tests.helpers.records import broken, study, trial

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with start() as found:
        yield found


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return busy_analysis()


@pytest.fixture(scope="module")
def file(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("page"), analysis)


@pytest.fixture(scope="module")
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """Opened once, which takes longest: tests leave it as another can use it."""
    with opened(browser, file) as found:
        yield found.page


def _written(folder: Path, analysis: Analysis) -> Path:
    path = folder / "report.html"
    path.write_text(html_report(analysis), encoding="utf-8")
    return path


def test_every_chart_is_drawn(page: Page) -> None:
    names = set(page.locator(".chart").evaluate_all("all => all.map((one) => one.dataset.chart)"))
    assert {"pareto", "curves", "knobs", "hypervolume", "expected", "cost-train_seconds"} <= names
    assert all(inks(page, name) > 10 for name in names)


def test_the_script_writes_trials_as_the_server_does(
    browser: Browser, file: Path, page: Page
) -> None:
    rows = "#table-trials tbody tr"
    with opened(browser, file, wait=False, java_script_enabled=False) as found:
        served = found.page.locator(rows).all_inner_texts()
    assert len(served) == 25
    assert page.locator(rows).all_inner_texts() == served


def test_pointing_at_a_configuration_shows_its_figures(page: Page, analysis: Analysis) -> None:
    entry = next(entry for entry in analysis.leaders if entry.arm == "lora")
    page.mouse.move(*point(page, entry.confirmed.trained_parameters, entry.accuracy.value))
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    text = tooltip.inner_text()
    assert entry.confirmed.name in text
    assert f"{entry.accuracy.value:.3f} (95 %: {entry.accuracy.low:.3f} to" in text
    assert f"{entry.confirmed.trained_parameters:,}" in text
    assert entry.place in text


def test_names_of_arms_find_their_place_beside_the_points(page: Page) -> None:
    found = page.locator("[data-chart=pareto]").evaluate(
        """one => one.view.scenegraph().root.items[0].items
            .filter((mark) => mark.marktype === "text" && mark.name !== "note_marks").at(-1).items
            .filter((item) => item.text && item.opacity !== 0)
            .map(({ text, bounds }) => [text, bounds.x1, bounds.y1, bounds.x2, bounds.y2])"""
    )
    assert sorted(text for text, *_ in found) == ["adapter", "full", "lora"]
    for (_, *one), (_, *other) in itertools.combinations(found, 2):
        assert not Box(*one).overlap(Box(*other))


def test_a_legend_isolates_an_arm_in_every_chart(page: Page) -> None:
    button = page.locator("#pareto [data-isolate=lora]")
    before = inks(page, "hypervolume")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("[data-isolate=lora][aria-pressed=true]").count() == 3
    signals = page.locator(".chart[data-chart=pareto], .chart[data-chart=expected]").evaluate_all(
        "all => all.map((one) => one.view.signal('isolated'))"
    )
    assert signals == ["lora", "lora"]
    assert inks(page, "hypervolume") != before
    button.click()
    assert page.locator("[data-isolate][aria-pressed=true]").count() == 0


def test_trials_of_the_search_can_be_taken_off(page: Page) -> None:
    count = """one => one.view.scenegraph().root.items[0].items
        .find((mark) => mark.name === "trials_marks").items.length"""
    chart = page.locator("[data-chart=pareto]")
    assert chart.evaluate(count) > 20
    page.get_by_label("trials of the search").uncheck()
    page.wait_for_timeout(50)
    assert chart.evaluate(count) == 0
    page.get_by_label("trials of the search").check()
    page.wait_for_timeout(50)


def test_the_front_can_be_looked_at_closely(page: Page) -> None:
    chart = page.locator("[data-chart=pareto]")
    domain = "one => one.view.scale('x').domain()"
    wide = chart.evaluate(domain)
    page.get_by_label("Zoom in").click()
    page.wait_for_timeout(50)
    near = chart.evaluate(domain)
    assert wide[0] < near[0] < near[1] < wide[1]
    page.mouse.move(*point(page, near[0] * 2, 0.5))
    page.mouse.down()
    page.mouse.move(*point(page, near[0] * 4, 0.5), steps=3)
    page.mouse.up()
    assert chart.evaluate(domain)[0] < near[0]
    page.get_by_role("button", name="Reset").click()
    page.wait_for_timeout(50)
    assert chart.evaluate(domain) == wide


def test_a_heading_sorts_by_mouse_and_by_keyboard(page: Page) -> None:
    heading = page.locator("#table-leaderboard th", has_text="trained parameters")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    counts = [int(text.replace(",", "")) for text in column(page, "leaderboard", 10)]
    assert counts == sorted(counts)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    falling = [int(text.replace(",", "")) for text in column(page, "leaderboard", 10)]
    assert falling == counts[::-1]


def test_empty_cells_are_sorted_last_either_way(page: Page) -> None:
    heading = page.locator("#table-trials th", has_text="validation accuracy")
    page.get_by_label("Filter").fill("adapter")
    for _ in range(2):
        heading.get_by_role("button").click()
        shares = column(page, "trials", 5)
        assert "" in shares
        assert all(shares[: shares.index("")])
        assert not any(shares[shares.index("") :])
    page.get_by_label("Filter").fill("")


def test_trials_can_be_filtered_and_leafed_through(page: Page, analysis: Analysis) -> None:
    count = len(analysis.run.searched) + len(analysis.run.confirmed)
    range_ = page.locator("#trials-range")
    assert range_.inner_text() == f"1–25 of {count}"
    page.get_by_role("button", name="Next", exact=True).click()
    assert range_.inner_text() == f"26–50 of {count}"
    page.get_by_label("Filter").fill("LORA completed attention")
    names = column(page, "trials", 1)
    assert names
    assert all(name.startswith("lora-") for name in names)
    assert all("targets=attention" in knobs for knobs in column(page, "trials", 4))
    page.get_by_label("Filter").fill("no such thing")
    assert range_.inner_text() == "none"
    page.get_by_label("Filter").fill("")
    assert range_.inner_text() == f"1–25 of {count}"


def test_the_knobs_of_another_arm_can_be_shown(page: Page) -> None:
    arm = page.locator("#knobs-arm")
    assert arm.input_value() == "lora"
    arm.select_option("adapter")
    page.wait_for_timeout(100)
    axes = page.locator("#knobs-chart").evaluate("one => one.view.scale('x').domain()")
    assert axes == ["bottleneck", "placement", "learning_rate", "validation accuracy"]


def test_the_page_turns_dark_and_its_charts_with_it(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    chart = "document.querySelector('[data-chart=pareto] canvas').toDataURL()"
    button = page.locator("#look")
    page.evaluate("document.fonts.ready.then(() => true)")
    before = page.evaluate(paper), page.evaluate(chart)
    for pressed in ("true", "false"):
        button.click()
        page.wait_for_selector("html[data-ready]", state="attached")
        assert button.get_attribute("aria-pressed") == pressed
        compare = "!==" if pressed == "true" else "==="
        page.wait_for_function(
            f"([paper, chart]) => {paper} {compare} paper && {chart} {compare} chart",
            arg=[*before],
        )


def test_a_dark_system_gets_a_dark_page(browser: Browser, file: Path) -> None:
    with opened(browser, file, wait=False, color_scheme="dark") as found:
        colour = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert all(int(part) < 60 for part in re.findall(r"\d+", colour))


def test_a_phone_scrolls_tables_and_never_the_page(browser: Browser, file: Path) -> None:
    with opened(browser, file, viewport={"width": 400, "height": 800}) as found:
        widths = found.page.evaluate(
            "[document.documentElement.scrollWidth, document.body.scrollWidth]"
        )
        assert max(widths) <= 400


def test_paper_is_light_and_has_all_trials_and_charts(
    browser: Browser, file: Path, analysis: Analysis
) -> None:
    count = len(analysis.run.searched) + len(analysis.run.confirmed)
    with opened(browser, file, color_scheme="dark") as found:
        page = found.page
        page.get_by_role("button", name="Next", exact=True).click()
        page.evaluate(
            """() => addEventListener("beforeprint", () => { window.printed = {
                rows: document.querySelectorAll("#table-trials tbody tr").length,
                said: document.getElementById("trials-printed").textContent,
                missing: document.querySelectorAll(".chart:not(:has(svg))").length,
                look: document.documentElement.dataset.look,
            }; })"""
        )
        assert page.pdf(format="A4").startswith(b"%PDF")
        wanted = {"rows": count, "said": "", "missing": 0, "look": "light"}
        assert page.evaluate("window.printed") == wanted
        page.wait_for_selector("html[data-ready]", state="attached")
        assert page.locator("#table-trials tbody tr").count() == 25


def test_paper_says_how_many_trials_a_filter_leaves(page: Page, analysis: Analysis) -> None:
    count = len(analysis.run.searched) + len(analysis.run.confirmed)
    page.get_by_label("Filter").fill("lora Completed")
    wanted = sum(row.arm == "lora" and row.status is Status.COMPLETED
                 for row in (*analysis.run.searched, *analysis.run.confirmed))  # fmt: skip
    said = f"Printed here: {wanted} of {count} ({wanted} match the filter “lora completed”)."
    assert printed(page) == (wanted, said)
    page.get_by_label("Filter").fill("")


def test_paper_says_where_a_long_list_of_trials_ends(browser: Browser, tmp_path: Path) -> None:
    asked = study(("lora",), planned=501, contexts={"lora": "abcd000011112222"})
    records = [broken("lora", number) for number in range(501)]
    path = _written(tmp_path, analyse(Run.of(asked, records, None)))
    with opened(browser, path) as found:
        assert printed(found.page) == (500, "Printed here: 500 of 501.")


def test_without_scripts_the_results_can_be_read(
    browser: Browser, file: Path, analysis: Analysis
) -> None:
    with opened(browser, file, wait=False, java_script_enabled=False) as found:
        page = found.page
        assert page.locator("noscript p").is_visible()
        assert page.locator("#table-leaderboard tbody tr").count() == 3
        assert column(page, "front", 3) == [entry.place for entry in analysis.entries]
        assert not page.locator("#trials-filter").is_visible()


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    arm = f"a{HOSTILE}"
    asked = study((arm,), planned=2, name=HOSTILE, contexts={arm: "abcd000011112222"},
                  spaces={arm: {HOSTILE: "1 … 9"}})  # fmt: skip
    records = [trial(arm, knobs={HOSTILE: 3}), broken(arm, 1, Status.FAILED, HOSTILE)]
    path = _written(tmp_path, analyse(Run.of(asked, records, None), {arm: {HOSTILE: 1.0}}))
    with opened(browser, path) as found:
        assert found.page.locator("img").count() == 0
        assert found.page.locator("h1").inner_text() == HOSTILE
        found.page.mouse.move(*point(found.page, 1000, 0.6))
        found.page.locator("#vg-tooltip-element.visible").wait_for()
        assert HOSTILE in found.page.locator("#vg-tooltip-element").inner_text()


@pytest.mark.parametrize("what", ["nothing", "failures", "search"])
def test_an_unfinished_run_has_a_page_too(browser: Browser, tmp_path: Path, what: str) -> None:
    asked = study(("full", "lora"), planned=2, contexts=dict.fromkeys(("full", "lora"), "c"))
    records = {
        "nothing": [],
        "failures": [broken("full", 0).model_copy(update={"context": "c"})],
        "search": [trial("lora", context="c"), trial("full", context="c")],
    }[what]
    path = _written(tmp_path, analyse(Run.of(asked, records, None)))
    with opened(browser, path) as found:
        assert found.page.locator("#table-leaderboard tbody tr").count() == 2


@pytest.mark.slow
def test_ten_thousand_trials_are_drawn_in_time(browser: Browser, tmp_path: Path) -> None:
    analysis = analyse(busy_run(1430), IMPORTANCES)
    begun = time.perf_counter()
    path = _written(tmp_path, analysis)
    written = time.perf_counter() - begun
    with opened(browser, path) as found:
        drawn = time.perf_counter() - begun - written
        page = found.page
        begun = time.perf_counter()
        page.get_by_label("Filter").fill("adapter pruned")
        page.locator("#table-trials th", has_text="knobs").get_by_role("button").click()
        page.locator("#pareto [data-isolate=lora]").click()
        page.evaluate("new Promise(requestAnimationFrame)")
        answered = time.perf_counter() - begun
    assert path.stat().st_size < 3_000_000
    assert written < 30
    assert drawn < 30
    assert answered < 3
