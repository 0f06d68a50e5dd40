"""Pictures of what was tested: every seed of every arm, and every two arms.

The page shows both as tables, which need no script.
"""

from __future__ import annotations

from reports import show
from reports.analysis import Analysis, Entry
from reports.charts import vega
from reports.charts.labels import names_width
from reports.charts.picture import WIDTH, Picture, fixed, key, note, picture
from reports.charts.style import COLOURS, PRINT
from reports.charts.vega import Chart, Spec
from reports.page.text import clean
from reports.text import notes

_BAND = "#f4f4f2"

_ROW, _CELL = 33, 44
"""Sizes of an arm's row of seeds and of a cell of the matrix, in pixels."""


def seeds(analysis: Analysis) -> Chart:
    """Test accuracy of every seed, with mean and 95 % interval, one row per arm by rank.

    Needs the sources ``arms`` and ``seeds``.
    """
    leaders = analysis.leaders
    x = vega.share("accuracy", f"test accuracy (share of {analysis.run.study.words.examples})")
    y = vega.by_row([entry.arm for entry in leaders])
    offset = {"field": "offset", "type": "quantitative", "scale": None}
    dots = {"x": x, "y": y, "yOffset": offset, **vega.by_arm(analysis.run, "color")}
    ends = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}
    rank = {"x": {"value": "width"}, "y": y, "text": {"field": "rank"}}
    line: Spec = {"type": "rule", "style": "measured", "opacity": 1, "strokeWidth": 1.5}
    mean = {"type": "tick", "style": "measured", "opacity": 1, "thickness": 2.5, "size": 15}
    return vega.chart(
        vega.layer("arms", {"type": "rect", "color": _BAND}, {"y": y}, where="datum.banded"),
        vega.layer("seeds", {"type": "circle", "size": 34, "opacity": 0.6}, dots, name="seeds"),
        vega.layer("arms", line, ends),
        vega.layer("arms", mean, {"x": x, "y": y}),
        vega.layer("arms", {"type": "text", "style": "note", "align": "left", "dx": 6}, rank),
        height=_ROW * len(leaders),
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
    names = names_width(entry.arm for entry in leaders)
    ink = {"stroke": PRINT["ink"], "strokeWidth": 2}
    signs = {
        "one seed": fixed("symbol", size=34, fill=PRINT["soft"], opacity=0.6),
        f"mean, 95 % interval {notes.interval_over(analysis)}": fixed(
            "symbol", shape="M-1,0H1M0,-.8V.8", size=300, **ink
        ),
    }
    return picture(
        analysis.run,
        seeds(analysis),
        "Test accuracy, seed by seed",
        {"arms": arms, "seeds": [dot for entry in leaders for dot in _dots(entry)]},
        marks=key(signs, top=_ROW * len(leaders) + 58, left=-names, columns=2),
        width=WIDTH - names - 60,
        autosize="pad",
    )


def _dots(entry: Entry) -> list[Spec]:
    """The seeds, evenly spread over the middle of their row, so that none hides another."""
    values = entry.seeds.values
    step = 0.42 * _ROW / max(1, len(values) - 1)
    first = (_ROW - step * (len(values) - 1)) / 2
    return [
        {"arm": clean(entry.arm), "accuracy": value, "offset": first + step * place}
        for place, value in enumerate(values)
    ]


def pairs(analysis: Analysis) -> Chart:
    """Difference of every two arms in points, row less column; in colour where different.

    The stronger the colour, the larger the difference. Needs the source ``pairs``: arm, against,
    text, difference and whether it is different.
    """
    y = vega.by_row([entry.arm for entry in analysis.leaders])
    top = {"orient": "top", "labelAngle": -40, "labelAlign": "left"}
    place = {"x": {**y, "field": "against", "axis": {**y["axis"], **top}}, "y": y}
    widest = max(0.01, *(abs(pair.difference.value) for pair in analysis.pairs))
    better, worse = COLOURS[:2]
    scale = {"domain": [-widest, 0, widest], "range": [worse, "#ffffff", better]}
    scale["interpolate"] = "rgb"
    fill = {"field": "difference", "type": "quantitative", "scale": scale, "legend": None}
    cell = {"type": "rect", "stroke": "#dddddd", "strokeWidth": 0.8}
    # Ink or white, whichever stands out more.
    contrast = "contrast(scale('color', datum.difference), '{}')".format
    ink, soft = PRINT["ink"], PRINT["soft"]
    readable = f"{contrast('#ffffff')} > {contrast(ink)} ? '#ffffff' : '{ink}'"
    text = {
        "type": "text",
        "fontSize": 11,
        "fontWeight": {"expr": "datum.different ? 'bold' : 'normal'"},
        "color": {"expr": f"datum.different ? ({readable}) : '{soft}'"},
    }
    return vega.chart(
        vega.layer("pairs", {**cell, "color": "#ffffff"}, place, where="datum.text"),
        vega.layer("pairs", {**cell, "color": _BAND}, place, where="!datum.text"),
        vega.layer("pairs", cell, {**place, "color": fill}, where="datum.different"),
        vega.layer("pairs", text, {**place, "text": {"field": "text"}}),
        height=_CELL * len(analysis.leaders),
    )


def pairs_picture(analysis: Analysis) -> Picture:
    arms = [clean(entry.arm) for entry in analysis.leaders]
    rows: list[Spec] = [{"arm": arm, "against": arm, "text": ""} for arm in arms]
    for pair in analysis.pairs:
        value = pair.difference.value
        for arm, against, difference in (
            (pair.first, pair.second, value),
            (pair.second, pair.first, -value),
        ):
            names = {"arm": clean(arm), "against": clean(against)}
            said = {"text": show.points(difference), "different": pair.is_different}
            rows.append({**names, **said, "difference": difference})
    size = _CELL * len(arms)
    lines = ("row less column; bold on colour: different at 5 % (Holm)", "white: not told apart")
    return picture(
        analysis.run,
        pairs(analysis),
        "Differences in test accuracy, in points",
        {"pairs": rows},
        marks=[
            note(line, size / 2, size + 14 * place, align="center")
            for place, line in enumerate(lines, start=1)
        ],
        width=size,
        autosize="pad",
    )
