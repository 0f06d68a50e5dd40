"""The charts of accuracy over epochs: of one arm's trials, and of all chosen configurations."""

from __future__ import annotations

import statistics

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports.analysis import Analysis
from reports.charts import vega
from reports.charts.picture import Picture, picture
from reports.charts.vega import Chart, Spec
from reports.leaderboard import rows
from reports.page.text import clean


def curves(run: Run, lines: int) -> Chart:
    """Validation accuracy by epoch of one arm: search trials faint, fresh seeds strong.

    Needs the source ``curves``. Epoch 0 is before training.

    Args:
        run: all records.
        lines: most trials of an arm that are drawn.
    """
    place = _place(run, "epoch", None)
    told = vega.tooltip(trial="title", kind="of", best="best validation accuracy|.3f")
    return vega.chart(
        vega.guessing(run.study.chance, place["y"]),
        _lines(run, "search", {**place, "tooltip": told}, 1, vega.faintness(lines, 12, 0.4)),
        _lines(run, "fresh seed", {**place, "tooltip": told}, 1.8, 0.95),
        height=150,
    )


def chosen(run: Run) -> Chart:
    """The same of every arm's chosen configuration: its seeds faint, their mean strong.

    Needs the source ``curves`` with the kinds ``seed`` and ``mean``.
    """
    place = _place(run, "epoch (0: before training)", "validation accuracy", padding=10)
    sign = {"type": "point", "filled": True, "size": 36, "opacity": 1}
    signs = {**place, **vega.by_arm(run, "color", "shape")}
    return vega.chart(
        vega.guessing(run.study.chance, place["y"]),
        _lines(run, "seed", place, 0.8, 0.4),
        _lines(run, "mean", place, 2, 1),
        vega.layer("curves", sign, signs, where="datum.kind === 'mean'"),
        height=230,
    )


def _place(run: Run, x_title: str, y_title: str | None, padding: int = 0) -> Spec:
    epochs = run.study.settings.epochs
    axis = {"title": x_title, "format": "d", "tickMinStep": 1, "grid": False}
    axis["tickCount"] = min(7, epochs)
    x = vega.number("epoch", axis, domain=[0, epochs], nice=False, padding=padding)
    return {"x": x, "y": vega.share("accuracy", y_title, domain=_reach(run), nice=False)}


def _reach(run: Run) -> list[float]:
    """Ends of the axis on which every curve and guessing lie."""
    known = [record.accuracy for record in (*run.searched, *run.confirmed) if record.accuracy]
    reached = [value for accuracy in known for value in (accuracy.before, *accuracy.per_epoch)]
    low, high = min([run.study.chance, *reached]), max([run.study.chance, *reached])
    pad = max(0.01, (high - low) * 0.05)
    return [max(0.0, low - pad), min(1.0, high + pad)]


def _lines(run: Run, kind: str, place: Spec, width: float, opacity: float) -> Spec:
    line = {"type": "line", "clip": True, "strokeWidth": width, "strokeOpacity": opacity}
    one = {"detail": {"field": "trial", "type": "nominal"}}
    encoding = {**place, **vega.by_arm(run, "color"), **one}
    return vega.layer("curves", line, encoding, where=f"datum.kind === '{kind}'")


def learning_curves(analysis: Analysis) -> dict[str, list[list[float]]]:
    """Accuracy before training and after each epoch, per arm and seed, best arm first.

    Of the runs on fresh seeds; of the chosen trial where there are none.
    """
    found = {}
    for row in rows(analysis):
        again = row.outcome.runs if row.outcome else ()
        records = again or ((row.chosen,) if row.chosen else ())
        if records:
            found[row.arm] = [_curve(record) for record in records]
    return found


def _curve(record: TrialRecord) -> list[float]:
    assert record.accuracy is not None  # only completed trials are chosen and confirmed
    return [record.accuracy.before, *record.accuracy.per_epoch]


def learning_picture(analysis: Analysis) -> Picture:
    """The chart of all chosen configurations; a mean ends with the shortest of its seeds."""
    found = learning_curves(analysis)
    drawn: list[Spec] = []
    for arm, seeds in found.items():
        mean = [statistics.fmean(values) for values in zip(*seeds, strict=False)]
        for place, curve in enumerate([mean, *seeds]):
            one = {"arm": clean(arm), "trial": place, "kind": "seed" if place else "mean"}
            drawn += [one | {"epoch": n, "accuracy": value} for n, value in enumerate(curve)]
    title = "Learning curves of the chosen configurations"
    return picture(analysis.run, chosen(analysis.run), title, {"curves": drawn}, arms=[*found])
