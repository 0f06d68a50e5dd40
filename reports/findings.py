"""What a study found, and what its reader must know, in sentences computed from the records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain

from bench.record import Environment, StudyRecord, TrialRecord
from bench.space import LEARNING_RATE
from reports import show
from reports.escape import Markdown, markdown, without_folders
from reports.front import Point, points
from reports.metrics import METRICS
from reports.standings import Standing, best_trials, completed, leading_metric

NEAR = 0.02
"""Accuracies closer than this, as a share of questions, count as near in the summary."""

EDGE = 0.05
"""Outer share of a learning rate's logarithmic range that asks for a wider range.

Source: arXiv 2602.04998, where rankings of methods turned on the learning rate's range.
"""

CUT = 0.05
"""Share of cut sequences from which on the report warns."""


def summary(rows: Sequence[Standing], records: Sequence[TrialRecord]) -> list[Markdown]:
    """The result in a few sentences; ``rows`` in default order."""
    ranked = [row for row in rows if row.best]
    if not ranked:
        return [Markdown("No trial was completed, so there is nothing to compare.")]
    sentences = [_leader(ranked), _cheapest(ranked), _front(points(records)), _caution(ranked)]
    return [Markdown(sentence) for sentence in sentences if sentence]


def _score(row: Standing, ranked: Sequence[Standing]) -> float:
    leading = leading_metric(other.best for other in ranked if other.best)
    return (row.best and leading.read(row.best)) or 0.0


def _parameters(row: Standing) -> float:
    return (row.best and METRICS["trained_parameters"].read(row.best)) or 0.0


def _leader(ranked: Sequence[Standing]) -> str:
    first = ranked[0]
    interval, scored = first.test_interval, all(row.test_interval for row in ranked)
    split = "test" if scored else "validation"
    within = (
        f" (95 % interval {show.share(interval.low)} to {show.share(interval.high)})"
        if interval and scored
        else ""
    )
    many = f"Of {len(ranked)} arms with a result, " if len(ranked) > 1 else ""
    return (
        f"{many}**{markdown(first.arm)}** has the highest {split} accuracy:"
        f" {show.share(_score(first, ranked))}{within}, with"
        f" {show.count(_parameters(first))} trained parameters."
    )


def _cheapest(ranked: Sequence[Standing]) -> str:
    if len(ranked) < 2:
        return ""
    first = ranked[0]
    # Shares are multiples of 1/questions: the margin only swallows rounding.
    floor = _score(first, ranked) - NEAR - 1e-9
    near = [row for row in ranked if _score(row, ranked) >= floor]
    cheapest = min(near, key=_parameters)
    fewer = _parameters(first) / max(1.0, _parameters(cheapest))
    points_off = f"{NEAR * 100:.0f} points"
    if fewer <= 1:
        return f"No arm with fewer trained parameters comes within {points_off} of it."
    return (
        f"Within {points_off} of it, **{markdown(cheapest.arm)}** is the cheapest:"
        f" {show.share(_score(cheapest, ranked))} with {show.count(_parameters(cheapest))} trained"
        f" parameters, {show.significant(fewer)} times fewer."
    )


def _front(found: Sequence[Point]) -> str:
    front = [point for point in found if point.on_front]
    arms = dict.fromkeys(point.record.arm for point in front)
    return (
        f"The Pareto front holds {len(front)} of {len(found)} completed trials, from"
        f" {', '.join(markdown(arm) for arm in arms)}."
    )


def _caution(ranked: Sequence[Standing]) -> str:
    widths = [row.test_interval.half for row in ranked if row.test_interval]
    if len(widths) < len(ranked):
        return (
            "Not every chosen trial has a test accuracy, so arms are ordered by validation"
            " accuracy, which is optimistic."
        )
    return (
        f"One test accuracy is uncertain by about ±{show.share(max(widths))} from the draw of"
        " questions alone, and each arm stands on one seed: smaller differences order nothing."
    )


def banners(study: StudyRecord, rows: Sequence[Standing]) -> list[Markdown]:
    """What makes the whole report unfinished or uneven; empty if nothing does."""
    found = []
    if told := unfinished(study, rows):
        label, _, text = told.partition(": ")
        found.append(f"**{label}**: {markdown(text)}")
    if len(set(study.planned.values())) > 1:
        found.append(
            f"**UNEQUAL BUDGETS**: planned trials differ ({_per_arm(study.planned)}). An arm with"
            " more trials has more chances at a high validation accuracy."
        )
    failed = {row.arm: row.failed for row in rows if row.failed}
    if failed:
        found.append(
            f"**FAILED TRIALS**: {sum(failed.values())} ({_per_arm(failed)}). Reasons are below."
        )
    empty = [row for row in rows if not row.best and row.ends]
    if empty:
        said = ", ".join(f"{markdown(row.arm)} ({row.said()})" for row in empty)
        found.append(f"**NO RESULT**: {said}.")
    return [Markdown(text) for text in found]


def unfinished(study: StudyRecord, rows: Sequence[Standing]) -> str | None:
    """What is missing of a study and why, as plain text; ``None`` if nothing is."""
    missing = {row.arm: row.missing for row in rows if row.missing}
    if not missing:
        return None
    of = f"{sum(missing.values())} of {sum(study.planned.values())}"
    spent = study.budget_spent
    if spent is None:
        return (
            f"PARTIAL: planned trials without a record: {of} ({_counts(missing)}). Run the command"
            " again to complete them."
        )
    ran = {row.arm: sum(row.ends.values()) for row in rows if row.arm in study.planned}
    unequal = (
        f"; budgets are unequal: trials run {_counts(ran)}" if len({*ran.values()}) > 1 else ""
    )
    stopped = f"; {spent.stopped} of them stopped on the way" if spent.stopped else ""
    return (
        f"PARTIAL: budget of {spent.budget} spent: {of} planned trials have not run"
        f" ({_counts(missing)}{stopped}){unequal}. The same command goes on with a fresh budget."
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{arm} {count}" for arm, count in counts.items())


def _per_arm(counts: dict[str, int]) -> str:
    return markdown(_counts(counts))


def halving_note(study: StudyRecord, rows: Sequence[Standing]) -> Markdown | None:
    """How many trials were stopped early and by what rule; ``None`` if none could be."""
    pruned = {row.arm: row.pruned for row in rows if row.pruned}
    ended = sum(sum(row.ends.values()) for row in rows)
    stopped = f"{sum(pruned.values())} of {ended} trials were stopped early" + (
        f" ({_per_arm(pruned)})." if pruned else "."
    )
    rule = study.halving
    if rule is None:
        return Markdown(stopped) if pruned else None
    rungs = rule.rungs(study.settings.epochs)
    after = f"epoch{'s' if len(rungs) > 1 else ''} {' and '.join(map(str, rungs))}"
    return Markdown(
        f"Successive halving: after {after} a trial went on only if it was among the best"
        f" one in {rule.reduction_factor} of its arm's trials that had come so far, by fronts of"
        " validation accuracy and trained parameters, then by crowding distance. Which trials are"
        f" stopped depends on the order in which they come. {stopped} They are never chosen and"
        " never on the front."
    )


def selection_note(records: Sequence[TrialRecord]) -> Markdown:
    """How validation and test came about, with the number of test scorings."""
    scored = [record for record in records if record.test]
    chosen = {record.fingerprint for record in best_trials(records).values()}
    others = sum(record.fingerprint not in chosen for record in scored)
    aside = (
        f" Of these, scorings of trials that are not (or no longer) the chosen ones: {others};"
        " trials.csv has them."
        if others
        else ""
    )
    return Markdown(
        "Validation accuracy is the highest of the arm's trials and therefore optimistic. The"
        f" test split is scored once per chosen trial; scorings: {len(scored)}.{aside}"
    )


def timing_note(records: Sequence[TrialRecord]) -> Markdown | None:
    """A flag on all timings if any was taken on a shared device."""
    timed = [record for record in records if record.seconds]
    shared = sum(record.seconds.device_shared for record in timed if record.seconds)
    if not shared:
        return None
    return Markdown(
        f"**Timings are not comparable: device shared** during {shared} of {len(timed)} trials."
    )


def warnings(study: StudyRecord, records: Sequence[TrialRecord]) -> list[Markdown]:
    """What a careful reader should look into; empty if nothing stands out."""
    timing = timing_note(records)
    found = chain(
        [timing] if timing else [],
        _edges(study, best_trials(records)),
        _mixed(records),
        _data(study, records),
        (f"Left out: {markdown(without_folders(text))}" for text in study.left_out),
        (f"Found: {markdown(without_folders(text))}." for text in study.notices),
    )
    return [Markdown(text) for text in found]


def _edges(study: StudyRecord, chosen: dict[str, TrialRecord]) -> Iterable[str]:
    for arm, record in chosen.items():
        bounds = study.bounds.get(arm, {}).get(LEARNING_RATE)
        end = bounds and edge(record.learning_rate, *bounds)
        if bounds and end:
            yield (
                f"**{markdown(arm)}**: the best learning rate, {record.learning_rate:.2g}, lies in"
                f" the {end} {EDGE:.0%} of its range ({bounds[0]:g} to {bounds[1]:g}, in the"
                " logarithm): a wider range may change the arm's place."
            )


def edge(value: float, low: float, high: float) -> str | None:
    """``lowest`` or ``highest`` if the value lies in that outer part of its logarithmic range."""
    if not 0 < low < high or value <= 0:
        return None
    place = math.log(value / low) / math.log(high / low)
    if place <= EDGE:
        return "lowest"
    return "highest" if place >= 1 - EDGE else None


_MUST_AGREE = ("device", "precision", "threads", "attention", "python", "system", "packages")


def _mixed(records: Sequence[TrialRecord]) -> Iterable[str]:
    seen = [record.environment for record in records if record.environment]
    for name in _MUST_AGREE:
        values = environment_values(seen, name)
        if len(values) > 1:
            yield (
                f"Trials differ in {name} ({'; '.join(markdown(value) for value in values)}):"
                " their timings, and perhaps their accuracies, are not comparable."
            )


def environment_values(seen: Iterable[Environment], name: str) -> list[str]:
    """The different values of one field of the environments, as text, in order of appearance."""
    values = (getattr(environment, name) for environment in seen)
    texts = (
        ", ".join(f"{key} {version}" for key, version in sorted(value.items()))
        if isinstance(value, dict)
        else str(value)
        for value in values
    )
    return list(dict.fromkeys(texts))


def _data(study: StudyRecord, records: Sequence[TrialRecord]) -> Iterable[str]:
    if study.truncated >= CUT:
        yield (
            f"{study.truncated:.1%} of the sequences were cut at {study.settings.max_length}"
            " tokens."
        )
    if len({record.test.data for record in records if record.test}) > 1:
        yield "Test accuracies were scored on different test questions: they do not compare."
    below = [
        markdown(record.arm)
        for record in best_trials(completed(records)).values()
        if record.accuracy and record.accuracy.validation <= study.chance
    ]
    if below:
        yield f"No better than guessing ({show.share(study.chance)}): {', '.join(below)}."
