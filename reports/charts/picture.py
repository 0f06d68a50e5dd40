"""A chart as PNG and SVG, for print. Equal records give equal bytes on any machine."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.study_record import Run
from reports.charts.chart import Chart, Spec, arm_names
from reports.charts.labels import SLIM, text_width
from reports.charts.style import COLOURS, FONT, PRINT, config
from reports.escape import plain, without_folders
from reports.page.text import clean

WIDTH = 432
"""In pixels, of a picture as wide as a column of a two-column paper, 3.5 inches."""

_POINTS = 7 / 12
"""Points (1/72 inch) to a pixel: text of 12 pixels is printed at 7 points."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One chart in two formats."""

    png: bytes
    svg: bytes


def picture(
    run: Run,
    chart: Chart,
    title: str,
    data: Mapping[str, Sequence[Spec]],
    *,
    arms: Sequence[str] = (),
    marks: Sequence[Spec] = (),
    **size: Any,
) -> Picture:
    """Draws a chart under its title and the names of study, model and dataset.

    Args:
        run: whose names are written.
        chart: what to draw, without what its page adds.
        title: the first line.
        data: rows by source.
        arms: that a legend is to name.
        marks: of Vega itself, drawn above everything.
        **size: changes to ``width``, ``height`` and ``autosize`` of the specification.
    """
    import vl_convert

    study, names = run.study, arm_names(run)
    parts = (study.name, study.model, study.dataset)
    spec = {
        **chart.spec,
        "width": WIDTH,
        **size,
        "background": "white",
        "title": {"text": title, "subtitle": "  ·  ".join(short(part, 22) for part in parts)},
        "datasets": {name: list(rows) for name, rows in data.items()},
        "config": config(len(names), FONT, _colour),
    }
    compiled = vl_convert.vegalite_to_vega(spec)
    compiled["marks"] += marks
    if arms:
        compiled["legends"] = [_legend([clean(arm) for arm in names if arm in arms])]
    svg = vl_convert.vega_to_svg(compiled)
    png = vl_convert.svg_to_png(svg, scale=_POINTS, ppi=300)
    return Picture(png=_repacked(png), svg=_for_print(svg).encode())


def _colour(name: str) -> str:
    kind, _, place = name.partition("-")
    return COLOURS[int(place) % len(COLOURS)] if kind in ("arm", "ramp") else PRINT[name]


def _legend(arms: Sequence[str]) -> Spec:
    longest = max(map(len, arms))
    rows = math.ceil(len(arms) / max(1, min(4, 60 // (longest + 4))))
    return {
        "fill": "color",
        "shape": "shape",
        "values": arms,
        "orient": "bottom",
        "columns": math.ceil(len(arms) / rows),
        "columnPadding": 14,
        "rowPadding": 3,
        "labelColor": PRINT["ink"],
        "labelFontSize": 11,
        "labelLimit": 110,
        "symbolSize": 50,
        "symbolStrokeWidth": 0,
    }


def _for_print(svg: str) -> str:
    """The SVG with its size in points, and without traces of what was drawn before it."""

    def sized(found: re.Match[str]) -> str:
        width, height = (f"{float(pixels) * _POINTS:.2f}pt" for pixels in found.groups())
        return f'width="{width}" height="{height}"'

    svg = re.sub(r'width="([\d.]+)" height="([\d.]+)"', sized, svg, count=1)
    # Vega goes on counting from chart to chart.
    places: dict[str, str] = {}
    return re.sub(
        r'(?:(?<=id=")|(?<=url\(#))clip\d+',
        lambda found: places.setdefault(found[0], f"clip{len(places)}"),
        svg,
    )


def _repacked(png: bytes) -> bytes:
    """The same picture in a third of the bytes: vl_convert packs fast rather than small."""
    chunks, place = [], 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        chunks.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    head = [(kind, data) for kind, data in chunks if kind not in (b"IDAT", b"IEND")]
    packed = png[:8]
    for kind, data in (*head, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")):
        packed += struct.pack(">I", len(data)) + kind + data
        packed += struct.pack(">I", zlib.crc32(kind + data))
    return packed


def short(text: str, longest: int) -> str:
    """Foreign text on one line of at most so many characters, all of which the font has."""
    known = plain(without_folders(text)).encode("latin-1", "replace").decode("latin-1")
    return known if len(known) <= longest else f"{known[: longest - 1]}…"


def fixed(kind: str, **values: Any) -> Spec:
    """A mark of Vega that no data decides, such as a sign of a legend."""
    return {"type": kind, "encode": {"enter": {name: {"value": v} for name, v in values.items()}}}


def note(text: str, x: float, y: float, **values: Any) -> Spec:
    """A line of small text at a place of the chart, in pixels."""
    look = {"font": FONT, "fontSize": 11, "fill": PRINT["soft"], "baseline": "middle"}
    return fixed("text", text=text, x=x, y=y, **look, **values)


def sign(kind: str, **look: Any) -> Spec:
    """What ``key`` explains: a symbol, or a rule across."""
    return {"type": kind, "look": look}


def key(
    signs: Mapping[str, Sequence[Spec]], *, top: float, left: float = 0, columns: int = 3
) -> list[Spec]:
    """What the signs of a chart mean, in rows below it.

    Args:
        signs: marks by what they mean; they are moved to their place.
        top: middle of the first row, in pixels of the chart.
        left: of the first column, likewise.
        columns: in which they stand.
    """
    found = []
    texts = list(signs)
    for column in range(columns):
        mine = texts[column::columns]
        for row, text in enumerate(mine):
            y = top + 16 * row
            for mark in signs[text]:
                ends = {"x": left, "x2": left + 18} if mark["type"] == "rule" else {"x": left + 9}
                found.append(fixed(mark["type"], y=y, **ends, **mark["look"]))
            found.append(note(text, left + 24, y))
        left += 38 + max(text_width(text, 11 * SLIM) for text in [*mine, ""])
    return found
