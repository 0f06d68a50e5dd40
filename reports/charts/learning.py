"""The charts of accuracy over epochs: of one arm's trials, and of all chosen configurations."""

from __future__ import annotations

import statistics

from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord
from reports.analysis import Analysis
from reports.charts.chart import Chart, Spec, by_arm, faintness, guessing, layered, tooltip
from reports.charts.picture import Picture, picture
from reports.leaderboard import rows
from reports.page.text import clean


def curves(run: Run, lines: int) -> Chart:
    """Validation accuracy by epoch of one arm: search trials faint, fresh seeds strong.

    Needs the source ``curves``. Epoch 0 is before training.

    Args:
        run: all records.
        lines: most trials of an arm that are drawn.
    """
    place = {
        **_place(run, "epoch", None),
        "tooltip": tooltip(trial="title", kind="of", best="best validation accuracy|.3f"),
    }
    return layered(
        guessing(run.study.chance, place["y"]),
        _lines(run, "curves", "search", place, 1, faintness(lines, 12, 0.4)),
        _lines(run, "curves", "fresh seed", place, 1.8, 0.95),
        height=150,
        sources=("curves",),
    )


def chosen(run: Run) -> Chart:
    """The same of every arm's chosen configuration: its seeds faint, their mean strong.

    Needs the source ``curves`` with the kinds ``seed`` and ``mean``.
    """
    place = _place(run, "epoch (0: before training)", "validation accuracy")
    place["x"] = {**place["x"], "scale": {**place["x"]["scale"], "padding": 10}}
    signs: Spec = {
        "data": {"name": "curves"},
        "transform": [{"filter": "datum.kind === 'mean'"}],
        "mark": {"type": "point", "filled": True, "size": 36, "opacity": 1},
        "encoding": {**place, **by_arm(run, "color", "shape")},
    }
    return layered(
        guessing(run.study.chance, place["y"]),
        _lines(run, "curves", "seed", place, 0.8, 0.4),
        _lines(run, "curves", "mean", place, 2, 1),
        signs,
        height=230,
        sources=("curves",),
    )


def _place(run: Run, x_title: str, y_title: str | None) -> Spec:
    epochs = run.study.settings.epochs
    axis = {"title": x_title, "format": "d", "tickMinStep": 1, "tickCount": min(7, epochs)}
    return {
        "x": {
            "field": "epoch",
            "type": "quantitative",
            "scale": {"domain": [0, epochs], "nice": False},
            "axis": {**axis, "grid": False},
        },
        "y": {
            "field": "accuracy",
            "type": "quantitative",
            "scale": {"domain": _reach(run), "nice": False},
            "axis": {"title": y_title, "format": ".2f", "tickCount": 4, "grid": True},
        },
    }


def _reach(run: Run) -> list[float]:
    """Ends of the axis on which every curve and guessing lie."""
    accuracies = [run.study.chance]
    for record in (*run.searched, *run.confirmed):
        if record.accuracy:
            accuracies += (record.accuracy.before, *record.accuracy.per_epoch)
    low, high = min(accuracies), max(accuracies)
    pad = max(0.01, (high - low) * 0.05)
    return [max(0.0, low - pad), min(1.0, high + pad)]


def _lines(run: Run, source: str, kind: str, place: Spec, width: float, opacity: float) -> Spec:
    return {
        "data": {"name": source},
        "transform": [{"filter": f"datum.kind === '{kind}'"}],
        "mark": {"type": "line", "clip": True, "strokeWidth": width, "strokeOpacity": opacity},
        "encoding": {
            **place,
            **by_arm(run, "color"),
            "detail": {"field": "trial", "type": "nominal"},
        },
    }


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
    """The chart of all chosen configurations."""
    found = learning_curves(analysis)
    drawn = []
    for arm, seeds in found.items():
        mean = [statistics.fmean(values) for values in zip(*seeds, strict=False)]
        named = [*((f"{arm} {n}", "seed", curve) for n, curve in enumerate(seeds)),
                 (arm, "mean", mean)]  # fmt: skip
        drawn += [
            {"arm": clean(arm), "trial": trial, "kind": kind, "epoch": n, "accuracy": accuracy}
            for trial, kind, curve in named
            for n, accuracy in enumerate(curve)
        ]
    title = "Learning curves of the chosen configurations"
    return picture(analysis.run, chosen(analysis.run), title, {"curves": drawn}, arms=[*found])
