"""How all charts look: the same styles on the page, light and dark, and in print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
"""Okabe and Ito's colour-blind-safe palette, without the yellow that white paper swallows."""

SHAPES = (
    "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "M-.86,-.86H.86V.86H-.86Z",
    "M0,-1.05L1,.8H-1Z",
    "M0,-1.15L1.15,0L0,1.15L-1.15,0Z",
    "M0,1.05L1,-.8H-1Z",
    "M1.05,0L-.8,1V-1Z",
    "M0,-1.05L1,-.32L.62,.85H-.62L-1,-.32Z",
    "M-1.05,0L.8,1V-1Z",
    "M0,-1.1L.95,-.55V.55L0,1.1L-.95,.55V-.55Z",
    "M-.38,-1.1H.38V-.38H1.1V.38H.38V1.1H-.38V.38H-1.1V-.38H-.38Z",
    "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
)
"""Signs as SVG paths, about two units wide. Eleven signs and seven colours: 77 arms differ."""

PRINT = {
    "ink": "#1c2126",
    "soft": "#59626c",
    "faint": "#8a929b",
    "rule": "#8a929b",
    "grid": "#ececec",
    "panel": "#ffffff",
}
"""Colours of pictures, by the names that the page's style sheet has for its own."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""Of pictures. vl_convert brings the first; the others are as wide, for whoever opens the SVG."""


def config(arms: int, font: str, colour: Callable[[str], str]) -> dict[str, Any]:
    """Vega's configuration.

    Args:
        arms: how many get a colour and a sign of their own.
        font: of all text.
        colour: what a name (of ``PRINT``, ``arm-0`` …, ``ramp-0`` … ``ramp-3``) stands for.
    """
    ink, soft, faint, rule, grid, panel = map(colour, PRINT)
    note = {"font": font, "fontSize": 11, "color": soft}
    name = {"font": font, "fontSize": 12, "fontWeight": 600}
    paper = {"fill": panel, "stroke": panel, "strokeWidth": 4}
    axis = {"domainColor": rule, "gridColor": grid, "tickColor": rule, "tickSize": 4}
    labels = {"labelColor": soft, "labelFontSize": 12, "labelPadding": 5}
    titles = {"titleColor": soft, "titleFontSize": 12, "titleFontWeight": 400, "titlePadding": 10}
    subtitle = {"subtitleColor": soft, "subtitleFontSize": 11, "subtitlePadding": 5}
    title = {"anchor": "start", "frame": "bounds", "color": ink, "fontSize": 15, "offset": 14}
    return {
        "background": None,
        "aria": False,  # whoever shows a chart names it; of ten thousand signs none needs a name
        "padding": 4,
        "font": font,
        "view": {"stroke": None},
        "axis": {**axis, **labels, **titles},
        "title": {**title, **subtitle},
        "range": {
            "category": [colour(f"arm-{place}") for place in range(arms)],
            "symbol": [SHAPES[place % len(SHAPES)] for place in range(arms)],
            "ramp": [colour(f"ramp-{step}") for step in range(4)],
        },
        "style": {
            "chance": {"color": faint, "strokeDash": [3, 3], "strokeWidth": 1},
            "front": {"color": ink, "strokeWidth": 1.4},
            "measured": {"color": ink, "opacity": 0.75},
            "under": {"color": panel, "opacity": 0.85},
            "name": {**name, "fill": ink},
            "halo-name": {**name, **paper},
            "note": note,
            "halo": {**note, **paper},
            "axes": {"gridColor": faint, "labelColor": ink, "labelFontWeight": 600, "color": faint},
        },
    }
