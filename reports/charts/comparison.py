"""Pictures of what was tested: every seed of every arm, and every two arms.

The page shows both as tables, which need no script.
"""

from __future__ import annotations

from reports import show
from reports.analysis import Analysis
from reports.charts.chart import Chart, Spec, by_arm, by_row, layered, share
from reports.charts.labels import names_width
from reports.charts.picture import WIDTH, Picture, key, note, picture, sign
from reports.charts.style import COLOURS, PRINT
from reports.page.text import clean
from reports.text import notes

_BAND = "#f4f4f2"

_ROW, _CELL = 33, 44
"""Sizes of an arm's row of seeds and of a cell of the matrix, in pixels."""


def seeds(analysis: Analysis) -> Chart:
    """Test accuracy of every seed, with mean and 95 % interval, one row per arm by rank.

    Needs the sources ``arms`` and ``seeds``.
    """
    title = f"test accuracy (share of {analysis.run.study.words.examples})"
    x, y = share("accuracy", title), by_row([entry.arm for entry in analysis.leaders])
    arms: Spec = {"data": {"name": "arms"}}
    ranks = {"type": "text", "style": "note", "align": "left", "dx": 6}
    offset = {"field": "offset", "type": "quantitative", "scale": None}
    return layered(
        {
            **arms,
            "transform": [{"filter": "datum.banded"}],
            "mark": {"type": "rect", "color": _BAND},
            "encoding": {"y": y},
        },
        {
            "name": "seeds",
            "data": {"name": "seeds"},
            "mark": {"type": "circle", "size": 34, "opacity": 0.6},
            "encoding": {"x": x, "y": y, "yOffset": offset, **by_arm(analysis.run, "color")},
        },
        {
            **arms,
            "mark": {"type": "rule", "style": "mean", "strokeWidth": 1.5},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            **arms,
            "mark": {"type": "tick", "style": "mean", "thickness": 2.5, "size": 15},
            "encoding": {"x": x, "y": y},
        },
        {
            **arms,
            "mark": ranks,
            "encoding": {"x": {"value": "width"}, "y": y, "text": {"field": "rank"}},
        },
        height=_ROW * len(analysis.leaders),
        sources=("arms", "seeds"),
    )


def seeds_picture(analysis: Analysis) -> Picture:
    """The chart, with a grey band behind every second rank."""
    leaders = analysis.leaders
    ranks = list(dict.fromkeys(entry.rank for entry in leaders))
    arms = [
        {
            "arm": clean(entry.arm),
            "accuracy": entry.accuracy.value,
            "low": entry.accuracy.low,
            "high": entry.accuracy.high,
            "rank": f"rank {entry.rank}",
            "banded": ranks.index(entry.rank) % 2 == 0,
        }
        for entry in leaders
    ]
    dots = [
        {"arm": clean(entry.arm), "accuracy": value, "offset": _ROW / 2 + offset}
        for entry in leaders
        for value, offset in zip(
            entry.seeds.values, spread(len(entry.seeds.values), 0.42 * _ROW), strict=True
        )
    ]
    names = names_width(entry.arm for entry in leaders)
    ink = {"stroke": PRINT["ink"], "strokeWidth": 2}
    signs = {
        "one seed": [sign("symbol", size=34, fill=PRINT["soft"], opacity=0.6)],
        f"mean, 95 % interval {notes.interval_over(analysis)}": [
            sign("rule", **ink),
            sign("symbol", shape="M0,-1V1", size=140, **ink),
        ],
    }
    return picture(
        analysis.run,
        seeds(analysis),
        "Test accuracy, seed by seed",
        {"arms": arms, "seeds": dots},
        marks=key(signs, top=_ROW * len(leaders) + 58, left=-names, columns=2),
        width=WIDTH - names - 60,
        autosize="pad",
    )


def spread(count: int, width: float) -> list[float]:
    """So many places evenly around 0, within half a width on either side."""
    step = width / max(1, count - 1)
    return [step * (place - (count - 1) / 2) for place in range(count)]


def pairs(analysis: Analysis) -> Chart:
    """Difference of every two arms in points, row less column; in colour where different.

    Needs the source ``pairs``: arm, against, text, fill, ink and whether it is different.
    """
    y = by_row([entry.arm for entry in analysis.leaders])
    x: Spec = {
        **y,
        "field": "against",
        "axis": {**y["axis"], "orient": "top", "labelAngle": -40, "labelAlign": "left"},
    }
    literal = {"type": "nominal", "scale": None}
    weight = {"expr": "datum.different ? 'bold' : 'normal'"}
    return layered(
        {
            "mark": {"type": "rect", "stroke": "#dddddd", "strokeWidth": 0.8},
            "encoding": {"x": x, "y": y, "color": {"field": "fill", **literal}},
        },
        {
            "mark": {"type": "text", "fontSize": 11, "fontWeight": weight},
            "encoding": {
                "x": x,
                "y": y,
                "text": {"field": "text"},
                "color": {"field": "ink", **literal},
            },
        },
        height=_CELL * len(analysis.leaders),
        sources=("pairs",),
    )


def pairs_picture(analysis: Analysis) -> Picture:
    """The chart; the stronger the colour, the larger the difference."""
    widest = max(0.01, *(abs(pair.difference.value) for pair in analysis.pairs))
    rows: list[Spec] = [{"arm": clean(e.arm), "against": clean(e.arm), "text": "", "fill": _BAND}
            for e in analysis.leaders]  # fmt: skip
    for pair in analysis.pairs:
        value = pair.difference.value
        for arm, against, points in (
            (pair.first, pair.second, value),
            (pair.second, pair.first, -value),
        ):
            fill = _paler(COLOURS[points < 0], abs(points) / widest if pair.is_different else 0)
            rows.append(
                {
                    "arm": clean(arm),
                    "against": clean(against),
                    "text": show.points(points),
                    "fill": fill,
                    "ink": _readable(fill) if pair.is_different else PRINT["soft"],
                    "different": pair.is_different,
                }
            )
    size = _CELL * len(analysis.leaders)
    chart = pairs(analysis)
    chart.spec["data"] = {"name": "pairs"}
    marks = [
        note(text, size / 2, size + 14 * line, align="center")
        for line, text in enumerate(
            ("row less column; bold on colour: different at 5 % (Holm)", "white: not told apart"),
            start=1,
        )
    ]
    title = "Differences in test accuracy, in points"
    return picture(
        analysis.run, chart, title, {"pairs": rows}, marks=marks, width=size, autosize="pad"
    )


def _paler(colour: str, share: float) -> str:
    """A colour ``#rrggbb`` of which only a share is left over white."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in parts)


def _readable(colour: str) -> str:
    """Ink or white, whichever stands out more: relative luminance as WCAG 2 defines it."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    luminance = sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return PRINT["ink"] if (luminance + 0.05) / 0.065 > 1.05 / (luminance + 0.05) else "#ffffff"
