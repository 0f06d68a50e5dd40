"""A real browser without a network, for the tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
VARIABLE = "PARETUNE_BROWSER"
HOW = (
    f"no browser: install Chromium (apt install chromium, or python -m playwright install chromium)"
    f" or name one in {VARIABLE}"
)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium of this machine; skips the test if there is none."""
    with sync_playwright() as player:
        own = player.chromium.executable_path
        found = [os.environ.get(VARIABLE), *map(shutil.which, NAMES), own]
        path = next((path for path in found if path and Path(path).exists()), None)
        if path is None:
            pytest.skip(HOW)
        started = player.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A page from disk and all it complained of."""

    page: Page
    complaints: list[str]


@contextmanager
def opened(browser: Browser, path: Path, *, wait: bool = True, **context: Any) -> Iterator[Opened]:
    """Opens a file; afterwards it must have asked for nothing else and complained of nothing.

    Args:
        browser: see above.
        path: of the page.
        wait: until all charts are drawn.
        **context: of playwright's, such as ``viewport`` or ``color_scheme``.
    """
    complaints: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

    usual = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
    room = browser.new_context(**{**usual, **context})
    room.set_offline(True)
    room.route("**/*", refuse)
    page = room.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.goto(path.as_uri())
    if wait:
        page.wait_for_selector("html[data-ready]", state="attached", timeout=30_000)
    yield Opened(page=page, complaints=complaints)
    room.close()
    assert complaints == []


def point(page: Page, parameters: float, accuracy: float) -> tuple[float, float]:
    """Where a point of the Pareto chart is in the window."""
    x, y = page.evaluate(
        """([parameters, accuracy]) => {
            const element = document.querySelector("[data-chart=pareto]");
            element.scrollIntoView({ block: "center", behavior: "instant" });
            const { view } = element;
            const box = element.querySelector("canvas").getBoundingClientRect();
            const [left, top] = view.origin();
            const pad = view.padding();
            return [box.left + pad.left + left + view.scale("x")(parameters),
                    box.top + pad.top + top + view.scale("y")(accuracy)];
        }""",
        [parameters, accuracy],
    )
    return x, y


def column(page: Page, table: str, column: int) -> list[str]:
    rows = page.locator(f"#table-{table} tbody tr")
    return [text.strip() for text in rows.locator(f"> :nth-child({column})").all_inner_texts()]


def printed(page: Page) -> tuple[int, str]:
    """Rows of the list of trials on paper, and what its caption says of them."""
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    rows = page.locator("#table-trials tbody tr").count()
    said = page.locator("#trials-printed").inner_text()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert not page.locator("#trials-printed").is_visible()
    return rows, said.strip()


def inks(page: Page, chart: str) -> int:
    """How many colours a chart's canvas shows: one where nothing was drawn."""
    counted: int = page.evaluate(
        """(chart) => {
            const canvas = document.querySelector(`[data-chart="${chart}"] canvas`);
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
            copy.drawImage(canvas, 0, 0);
            const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }""",
        chart,
    )
    return counted
