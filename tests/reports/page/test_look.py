"""The page's colours: text can be read and signs can be seen, on light paper and on dark."""

from __future__ import annotations

import re

import pytest

from reports.charts.style import COLOURS, PRINT, config
from reports.page.html import source
from reports.page.parts import brighter

READABLE, VISIBLE = 4.5, 3.0
"""Least contrast of text and of signs, after WCAG 2.2, 1.4.3 and 1.4.11."""

VARIABLE = re.compile(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)")
TEXT = re.compile(r"(?<![\w-])color: var\(--([\w-]+)\)")
TITLES = {"color", "labelcolor", "titlecolor", "subtitlecolor"}
BACKGROUNDS = ("paper", "panel")


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Contrast ratio of WCAG 2.2, 1 … 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _colours(look: str) -> dict[str, str]:
    found = VARIABLE.findall(source("report.css"))
    return {name: light if look == "light" else dark for name, light, dark in found}


def _colours_of_text() -> set[str]:
    charts = config(1, "a font", str)
    styles = [style for style in charts["style"].values() if "fontSize" in style]
    names = {style.get("color") or style.get("fill") for style in styles}
    for part in ("axis", "title"):
        names |= {value for key, value in charts[part].items() if key.lower() in TITLES}
    return {*TEXT.findall(source("report.css")), *names} - {"panel"}  # paper under letters


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#ffffff", "#000000") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48  # the example one reads everywhere


@pytest.mark.parametrize("look", ["light", "dark"])
def test_text_can_be_read_on_paper_and_panels(look: str) -> None:
    colours, names = _colours(look), _colours_of_text()
    assert {"ink", "soft", "accent"} <= names
    found = {
        (name, under): contrast(colours[name], colours[under])
        for name in names
        for under in BACKGROUNDS
    }
    assert {pair: ratio for pair, ratio in found.items() if ratio < READABLE} == {}
    assert contrast(colours["ink"], colours["warn"]) >= READABLE


def test_colours_of_arms_can_be_seen_on_dark_paper() -> None:
    panel = _colours("dark")["panel"]
    assert all(contrast(brighter(colour), panel) >= VISIBLE for colour in COLOURS)


def test_text_and_lines_of_pictures_can_be_read_on_white() -> None:
    assert min(contrast(PRINT[name], "#ffffff") for name in ("ink", "soft")) >= READABLE
    assert contrast(PRINT["faint"], "#ffffff") >= VISIBLE
