"""What a study found, and what is missing of it, in sentences computed from the records.

All that is returned is Markdown with foreign text escaped, unless said otherwise. Notes that stand
below a table or figure are in ``reports.text.notes``, warnings in ``reports.text.cautions``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.metrics import METRICS as SCORES
from bench.records.study_record import Run, StudyRecord
from reports import show
from reports.analysis import Analysis, Entry, Place
from reports.escape import Markdown, markdown
from reports.leaderboard import Row, rows
from reports.repeats import confirmed
from reports.standings import ArmStanding, best_trials, standings
from reports.text import headline, notes


def summary(analysis: Analysis) -> list[Markdown]:
    """The result in a few sentences, for the top of a report. Never empty."""
    leaders = analysis.leaders
    if leaders:
        sentences = [
            headline.by_objective(analysis),
            headline.by_accuracy(analysis),
            _untold(analysis),
            _cheapest(leaders),
            _front(analysis),
            _caution(analysis),
        ]
        return [Markdown(sentence) for sentence in sentences if sentence]
    return [Markdown(headline.searched(analysis.run))]


def _untold(analysis: Analysis) -> str:
    first = analysis.leaders[0].arm
    mine = [pair for pair in analysis.pairs if first in (pair.first, pair.second)]
    if not mine:
        return ""
    close = {arm for pair in mine if not pair.is_different for arm in (pair.first, pair.second)}
    if not close:
        sure = all(pair.difference.of_seeds for pair in mine)
        words = analysis.run.study.words
        cause = "chance alone" if sure else f"the choice of {words.examples}"
        return f"Its lead over every other arm is larger than {cause} explains."
    told = [_bold(entry.arm) for entry in analysis.leaders[1:] if entry.arm in close]
    return (
        f"It cannot be told apart from {show.listing(told)}: which of them is best this"
        " experiment does not show."
    )


def _cheapest(leaders: Sequence[Entry]) -> str:
    top = [entry for entry in leaders if entry.rank == leaders[0].rank]
    if len(top) < 2:
        return ""
    cheapest = min(top, key=_parameters)
    fewer = _parameters(leaders[0]) / max(1, _parameters(cheapest))
    if fewer <= 1:
        return "No other arm of the first rank trains fewer parameters than it."
    return (
        f"Of the arms that share the first rank, {_bold(cheapest.arm)} trains the fewest"
        f" parameters: {show.count(_parameters(cheapest))}, {show.significant(fewer)} times fewer"
        f" than {markdown(leaders[0].arm)}, at {show.share(cheapest.accuracy.value)}."
    )


_PLACES: dict[Place, str] = {
    "front": "On the Pareto front of test accuracy against trained parameters",
    "ambiguous": "Perhaps on it",
    "dominated": "Not on it",
}


def _front(analysis: Analysis) -> str:
    sure = f" in at least 95 % of resamples ({notes.interval_over(analysis)})"
    named = {
        place: [_name(entry) for entry in analysis.entries if entry.place == place]
        for place in _PLACES
    }
    named["front"] = named["front"] or ["none"]
    said = (
        f"{_PLACES[place]}{'' if place == 'ambiguous' else sure}: {show.some(names)}."
        for place, names in named.items()
        if names
    )
    return " ".join(said)


def _caution(analysis: Analysis) -> str:
    seedless = any(not entry.accuracy.of_seeds for entry in analysis.leaders)
    lines = []
    if analysis.detectable is not None:
        lines.append(notes.resolution(analysis.detectable))
    if seedless:
        lines.append("Where only one seed was tested, another seed may order the arms otherwise.")
    return " ".join(lines)


def _parameters(entry: Entry) -> int:
    return entry.confirmed.trained_parameters


def _bold(arm: str) -> str:
    return f"**{markdown(arm)}**"


def _name(entry: Entry) -> str:
    return markdown(entry.confirmed.name)


def banners(analysis: Analysis) -> list[Markdown]:
    """What makes the whole report unfinished or uneven, for its very top; empty if nothing does."""
    study, board = analysis.run.study, rows(analysis)
    searches = [row.standing for row in board]
    found = []
    if told := unfinished(analysis.run):
        label, _, text = told.partition(": ")
        found.append(f"**{label}**: {markdown(text)}")
    if len(set(study.planned.values())) > 1:
        found.append(
            f"**UNEQUAL BUDGETS**: planned trials differ ({_per_arm(study.planned)}). An arm with"
            " more trials has more chances at a high validation accuracy."
        )
    failed = {row.arm: row.failed for row in searches if row.failed}
    if failed:
        found.append(
            f"**FAILED TRIALS**: {sum(failed.values())} ({_per_arm(failed)}). Reasons are below."
        )
    found += _lost(analysis.run)
    empty = [row for row in searches if not row.best and row.ends]
    if empty:
        said = ", ".join(f"{markdown(row.arm)} ({row.said()})" for row in empty)
        found.append(f"**NO RESULT**: {said}.")
    found += _untested(board)
    return [Markdown(text) for text in found]


def _lost(run: Run) -> Iterable[str]:
    lost = {one.name: len(one.lost) for one in confirmed(run) if one.lost}
    if lost:
        yield (
            f"**LOST SEEDS**: {sum(lost.values())} ({_per_arm(lost)}). Means are over the seeds"
            " that ended, so they flatter a configuration that often breaks off."
        )


def _untested(board: Sequence[Row]) -> Iterable[str]:
    waiting = [row for row in board if row.outcome and not row.entry]
    if waiting and len(waiting) < len(board):
        said = ", ".join(f"{markdown(row.arm)} ({markdown(row.untested())})" for row in waiting)
        yield f"**NOT TESTED**: {said}."


def unfinished(run: Run) -> str | None:
    """What is missing of a run and why, as plain text; ``None`` if nothing is."""
    parts = [
        _unsearched(run.study, standings(run.study, run.searched)),
        _outdated(run),
        _unconfirmed(run),
    ]
    told = [part for part in parts if part]
    return f"PARTIAL: {' '.join(told)}" if told else None


def _unsearched(study: StudyRecord, searches: Sequence[ArmStanding]) -> str | None:
    missing = {row.arm: row.missing for row in searches if row.missing}
    if not missing:
        return None
    of = f"{sum(missing.values())} of {sum(study.planned.values())}"
    spent = study.budget_spent
    if spent is None:
        return (
            f"planned trials without a record: {of} ({_counts(missing)}). Run the command again to"
            " complete them."
        )
    ran = {row.arm: sum(row.ends.values()) for row in searches if row.arm in study.planned}
    unequal = (
        f"; budgets are unequal: trials run {_counts(ran)}" if len({*ran.values()}) > 1 else ""
    )
    stopped = f"; {spent.stopped} of them stopped on the way" if spent.stopped else ""
    return (
        f"budget of {spent.budget} spent: {of} planned trials have not run"
        f" ({_counts(missing)}{stopped}){unequal}. The same command goes on with a fresh budget."
    )


def _outdated(run: Run) -> str | None:
    """Arms of which the search, gone on since, would now choose another trial than was frozen."""
    if run.freeze is None:
        return None
    frozen = {one.arm: one.fingerprint for one in run.freeze.candidates if one.is_best}
    best = {arm: record.fingerprint for arm, record in best_trials(run.searched).items()}
    arms = sorted(arm for arm in best | frozen if best.get(arm) != frozen.get(arm))
    if not arms:
        return None
    return (
        "the search has gone on since the configurations to test were chosen, and another is best"
        f" now of {show.listing(arms)}. Run the command again to test it."
    )


def _unconfirmed(run: Run) -> str | None:
    """What is missing after the search; a search that is not over has nothing to confirm yet."""
    if run.freeze is None:
        over = len(run.searched) >= sum(run.study.planned.values())
        chosen = over and best_trials(run.searched)
        return "no configuration has been tested yet. Run the command again." if chosen else None
    missing: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for one in confirmed(run):
        arm, ended = one.candidate.arm, len(one.runs) + len(one.lost)
        missing[arm] += 0 if one.candidate.stopped else len(one.seeds) - ended
        waiting[arm] += sum(not run.study.is_tested(record) for record in one.runs)
    said = [
        f"{words} {sum(counts.values())} ({_counts(+counts)})"
        for words, counts in (
            ("runs on fresh seeds without a record:", missing),
            ("models that have not answered the test split:", waiting),
        )
        if +counts
    ]
    return f"{'; '.join(said)}. Run the command again to complete them." if said else None


def halving_note(run: Run) -> Markdown | None:
    """How many trials were stopped early and by what rule; ``None`` if none could be.

    For the section on the search.
    """
    study, searches = run.study, standings(run.study, run.searched)
    pruned = {row.arm: row.pruned for row in searches if row.pruned}
    stopped = f"{sum(pruned.values())} of {len(run.searched)} trials were stopped early" + (
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
        f" validation {SCORES[study.objective].label} and trained parameters, then by crowding"
        f" distance. Which trials are stopped depends on the order in which they come. {stopped}"
        " They are never chosen and never on the front."
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{arm} {count}" for arm, count in counts.items())


def _per_arm(counts: dict[str, int]) -> str:
    return markdown(_counts(counts))
