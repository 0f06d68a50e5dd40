"""What a picture shows, read from its SVG."""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reports.charts.labels import SLIM, Box, text_width

_SVG = "{http://www.w3.org/2000/svg}"
_MOVED = re.compile(r"translate\(([-\d.e]+),([-\d.e]+)\)")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A sign, a line or a text with its place in the picture, in pixels."""

    marks: str
    x: float
    y: float
    element: ET.Element

    @property
    def text(self) -> str:
        return self.element.text or ""

    def get(self, name: str) -> str:
        return self.element.get(name, "")

    @property
    def box(self) -> Box:
        """At most what a text covers."""
        size = float(self.get("font-size").removesuffix("px"))
        width = text_width(self.text, size * (1 if self.get("font-weight") == "bold" else SLIM))
        left = {"middle": 0.5, "end": 1.0}.get(self.get("text-anchor"), 0.0)
        return Box(
            self.x - left * width,
            self.y - 0.75 * size,
            self.x + (1 - left) * width,
            self.y + 0.15 * size,
        )


def items(svg: bytes, marks: str = "", kind: str = "path") -> list[Item]:
    """All elements of a kind, of the marks with that name if one is given."""
    return [
        item
        for item in _walk(ET.fromstring(svg), "", 0.0, 0.0)
        if item.element.tag == _SVG + kind and (not marks or item.marks == f"{marks}_marks")
    ]


def texts(svg: bytes) -> list[Item]:
    return items(svg, kind="text")


def _walk(element: ET.Element, marks: str, x: float, y: float) -> Iterator[Item]:
    moved = _MOVED.match(element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    names = [name for name in element.get("class", "").split() if name.endswith("_marks")]
    marks = names[0] if names else marks
    yield Item(marks=marks, x=x, y=y, element=element)
    for child in element:
        yield from _walk(child, marks, x, y)


def pixels(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Rows of pixels, red, green, blue and opacity: all that vl_convert makes of PNG."""
    assert png.startswith(b"\x89PNG")
    width, height, *form = struct.unpack(">IIBB", png[16:26])
    assert form == [8, 6]
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    raw = np.frombuffer(zlib.decompress(png[start + 4 : start + 4 + length]), np.uint8)
    rows = raw.reshape(height, 4 * width + 1)
    assert (rows[:, 0] == 1).all()  # each pixel as its difference to the one on the left
    return rows[:, 1:].reshape(height, width, 4).cumsum(axis=1, dtype=np.uint8)
