"""The tables of results in the Markdown report; ``None`` where there is nothing to show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.records.study_record import Run
from reports import show
from reports.analysis import Analysis, Entry
from reports.escape import Markdown
from reports.leaderboard import Row, rows
from reports.metrics import COLUMNS, besides_accuracy, searched, tested
from reports.standings import ArmStanding, standings
from reports.text import notes
from reports.text.markdown_table import figures, labels, table

LEADERBOARD = (
    "trained_tensors",
    "trained_parameters",
    "train_seconds",
    "inference_seconds",
    "inference_ms_p50",
    "stored_bytes",
)
"""Metrics on the leaderboard beside accuracy."""


def leaderboard(analysis: Analysis) -> Markdown | None:
    """One row per arm by rank: test accuracy with its interval, seeds, and costs."""
    if not analysis.leaders:
        return None
    study = analysis.run.study
    names = besides_accuracy(study, tested(study))
    goal = [f"{COLUMNS[name].label}, median" for name in names]
    accuracy = f"test accuracy (95 % interval {notes.interval_over(analysis)})"
    return table(
        ("rank", "arm", "knobs", *goal, "accuracy before", accuracy, "seeds",
         "better than the next", *labels(LEADERBOARD)),
        (_leader(row, names) for row in rows(analysis)),
        left=3,
    )  # fmt: skip


def _leader(row: Row, goal: Sequence[str]) -> list[object]:
    entry, chosen = row.entry, row.chosen
    if entry is None or chosen is None:
        return [
            None,
            row.arm,
            row.untested(),
            *(None for _ in goal),
            None,
            None,
            row.seeds,
            None,
            *(None for _ in LEADERBOARD),
        ]
    better = entry.better_than_next
    return [
        entry.rank,
        row.arm,
        show.knobs(chosen.values),
        *map(row.figure, goal),
        row.figure("accuracy_before"),
        _accuracy(entry),
        row.seeds,
        None if better is None else show.probability(better),
        *(row.figure(name) for name in LEADERBOARD),
    ]


def _accuracy(entry: Entry) -> str:
    accuracy = entry.accuracy
    return f"{show.share(accuracy.value)} ({show.interval(accuracy.low, accuracy.high)})"


def seeds(analysis: Analysis) -> Markdown | None:
    """Every tested seed of the arms, with what describes them."""
    if not analysis.leaders:
        return None
    return table(
        ("arm", "test accuracy, seed by seed", "mean", "sd", "min", "max", "IQM", "seeds"),
        (
            [
                row.arm,
                " ".join(map(show.share, entry.seeds.values)),
                show.share(entry.seeds.mean),
                None if entry.seeds.sd is None else show.share(entry.seeds.sd),
                *map(show.share, (entry.seeds.low, entry.seeds.high, entry.seeds.iqm)),
                row.seeds,
            ]
            for row in rows(analysis)
            if (entry := row.entry)
        ),
        left=2,
    )


def search(run: Run) -> Markdown:
    """One row per arm with the best trial of its search: validation accuracy, never a test."""
    names = (searched(run.study), "trained_tensors", "trained_parameters", "train_seconds",
             "inference_seconds", "inference_ms_p50")  # fmt: skip
    return table(
        ("arm", "best knobs", "accuracy before", *labels(names), "trials"),
        (
            [
                row.arm,
                show.knobs(row.best.values) if row.best else row.said(),
                *figures(row.best, ("accuracy_before", *names)),
                _done(row),
            ]
            for row in standings(run.study, run.searched)
        ),
        left=2,
    )


def _done(row: ArmStanding) -> str:
    done = f"{row.completed}" if row.planned is None else f"{row.completed}/{row.planned}"
    return f"{done}, {row.pruned} stopped early" if row.pruned else done


def matrix(analysis: Analysis) -> Markdown | None:
    """Differences of every two arms in points, row less column; bold where different."""
    if not analysis.pairs:
        return None
    arms = [entry.arm for entry in analysis.leaders]
    cells: dict[tuple[str, str], Markdown] = {}
    for pair in analysis.pairs:
        bold = "**" if pair.is_different else ""
        value = pair.difference.value
        cells[pair.first, pair.second] = Markdown(f"{bold}{show.points(value)}{bold}")
        cells[pair.second, pair.first] = Markdown(f"{bold}{show.points(-value)}{bold}")
    return table(
        ("points", *arms), ([one, *(cells.get((one, other)) for other in arms)] for one in arms)
    )


def hypervolumes(analysis: Analysis) -> Markdown | None:
    """What the search's front had come to after its last trial, of all arms and of each."""
    curves = analysis.hypervolume_by_trial
    found = [(arm, curves[arm]) for arm in ("", *analysis.run.study.arms) if curves.get(arm)]
    if not found:
        return None
    return table(
        ("arm", "trials per arm", "hypervolume, validation"),
        ([arm or "all arms", len(curve), show.share(curve[-1])] for arm, curve in found),
    )


def expected_best(analysis: Analysis) -> Markdown | None:
    """Expected best of n = 1, 2, 4, 8 … random trials and of all, one row per arm."""
    curves = {arm: curve for arm, curve in analysis.expected_best.items() if curve}
    longest = max(map(len, curves.values()), default=0)
    if not longest:
        return None
    budgets = [2**power for power in range(longest.bit_length())]
    return table(
        ("arm", *(f"n = {budget}" for budget in budgets), "n, all", "of all"),
        (
            [
                arm,
                *(show.share(curve[n - 1]) if n <= len(curve) else None for n in budgets),
                len(curve),
                show.share(curve[-1]),
            ]
            for arm, curve in curves.items()
        ),
    )


def importances(analysis: Analysis) -> Markdown | None:
    """Which searched knobs mattered, the most important first."""
    found = [
        [arm, knob, show.share(value)]
        for arm, shares in analysis.importances.items()
        for knob, value in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    ]
    return table(("arm", "knob", "importance"), found, left=2) if found else None


TIMINGS = (
    "inference_ms_{}",
    "batched_ms_{}",
)
"""Metrics of latency at one question and at the evaluation batch."""


def timing(analysis: Analysis) -> Markdown | None:
    """Latency of every arm, deployed and undeployed, with throughput and bytes to store."""
    measured = [row for row in rows(analysis) if row.cost("inference_ms_p50") is not None]
    if not measured:
        return None
    size, words = _batch(analysis.run), analysis.run.study.words
    return table(
        ("arm", "form", *(f"{n}: {word}" for n in (f"1 {words.example}", f"{size} {words.examples}")
                          for word in ("median", "IQR", "p95")), "throughput", "stored size"),
        (line for row in measured for line in _timings(row)),
        left=2,
    )  # fmt: skip


def _batch(run: Run) -> int | str:
    sizes = {r.inference.batched.batch_size for r in (*run.confirmed, *run.searched) if r.inference}
    return sizes.pop() if len(sizes) == 1 else "many"


def _timings(row: Row) -> Iterable[list[object]]:
    for form, suffix in (("deployed", ""), ("undeployed", "_undeployed")):
        names = [name.format(word) + suffix for name in TIMINGS for word in ("p50", "iqr", "p95")]
        cells = [row.figure(name) for name in names]
        whole = [row.figure(name) for name in ("questions_per_second", "stored_bytes")]
        if any(cells):
            yield [row.arm, form, *cells, *(whole if not suffix else (None, None))]
