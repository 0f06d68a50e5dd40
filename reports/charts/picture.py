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
from reports.charts.labels import SLIM, text_width
from reports.charts.style import COLOURS, FONT, PRINT, config
from reports.charts.vega import Chart, Spec, arm_names
from reports.escape import plain, without_folders
from reports.page.text import clean

WIDTH = 432
"""In pixels, of a picture as wide as a column of a two-column paper, 3.5 inches."""

POINTS = 7 / 12
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

    names = (run.study.name, run.study.model, run.study.dataset)
    spec = {
        **chart.spec,
        "width": WIDTH,
        **size,
        "background": "white",
        "title": {"text": title, "subtitle": "  ·  ".join(short(name, 22) for name in names)},
        "datasets": data,
        "config": config(len(arm_names(run)), FONT, _colour),
    }
    compiled = vl_convert.vegalite_to_vega(spec)
    compiled["marks"] += marks
    if arms:
        compiled["legends"] = [_legend([clean(arm) for arm in arm_names(run) if arm in arms])]
    # Nothing lies outside; clipping takes time, and Vega numbers it on from chart to chart.
    clips = r'<clipPath.*?</clipPath>| clip-path="[^"]*"'
    svg = re.sub(clips, "", vl_convert.vega_to_svg(compiled))
    png = vl_convert.svg_to_png(svg, scale=POINTS, ppi=300)
    size_in_points = re.sub(r'(width|height)="([\d.]+)"', _in_points, svg, count=2)
    return Picture(png=_repacked(png), svg=size_in_points.encode())


def _colour(name: str) -> str:
    kind, _, place = name.partition("-")
    return COLOURS[int(place) % len(COLOURS)] if kind in ("arm", "ramp") else PRINT[name]


def _legend(arms: Sequence[str]) -> Spec:
    most = max(1, min(4, 60 // (4 + max(map(len, arms)))))
    rows = math.ceil(len(arms) / most)
    grid = {"columns": math.ceil(len(arms) / rows), "columnPadding": 14, "rowPadding": 3}
    labels = {"labelColor": PRINT["ink"], "labelFontSize": 11, "labelLimit": 110}
    symbols = {"fill": "color", "shape": "shape", "symbolSize": 50, "symbolStrokeWidth": 0}
    return {"values": arms, "orient": "bottom", **grid, **labels, **symbols}


def _in_points(found: re.Match[str]) -> str:
    return f'{found[1]}="{float(found[2]) * POINTS:.2f}pt"'


def _repacked(png: bytes) -> bytes:
    """The same picture in half of the bytes or less: vl_convert packs fast rather than small."""
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    data = b"IDAT" + zlib.compress(zlib.decompress(png[start + 4 : start + 4 + length]))
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return png[: start - 4] + chunk + png[start + 8 + length :]


def short(text: str, longest: int) -> str:
    """Foreign text on one line of at most so many characters, all of which the font has."""
    known = plain(without_folders(text)).encode("latin-1", "replace").decode("latin-1")
    return known if len(known) <= longest else f"{known[: longest - 1]}…"


def fixed(kind: str, **values: Any) -> Spec:
    """A mark of Vega that no data decides; ``key`` gives it a place if it has none."""
    return {"type": kind, "encode": {"enter": {name: {"value": v} for name, v in values.items()}}}


def note(text: str, x: float, y: float, **values: Any) -> Spec:
    """A line of small text at a place of the chart, in pixels."""
    look = {"font": FONT, "fontSize": 11, "fill": PRINT["soft"], "baseline": "middle"}
    return fixed("text", text=text, x=x, y=y, **look, **values)


def key(signs: Mapping[str, Spec], *, top: float, left: float = 0, columns: int = 3) -> list[Spec]:
    """What the signs of a chart mean, in rows below it.

    Args:
        signs: by what they mean: symbols, or rules across.
        top: middle of the first row, in pixels of the chart.
        left: of the first column, likewise.
        columns: in which they stand.
    """
    found = []
    texts = list(signs)
    for column in range(columns):
        mine = texts[column::columns]
        for row, text in enumerate(mine):
            y, mark = top + 16 * row, signs[text]
            ends = {"x": left, "x2": left + 18} if mark["type"] == "rule" else {"x": left + 9}
            place = fixed(mark["type"], y=y, **ends)["encode"]["enter"]
            found.append({**mark, "encode": {"enter": mark["encode"]["enter"] | place}})
            found.append(note(text, left + 24, y))
        left += 38 + max((text_width(text, 11 * SLIM) for text in mine), default=0)
    return found
