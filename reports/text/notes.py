"""How to read a table or figure of the report: the sentences that stand below it.

All of them are Markdown with foreign text escaped; ``None`` where there is nothing to say.
"""

from __future__ import annotations

from bench.metrics import ACCURACY
from bench.records.study_record import Run, StudyRecord
from reports import show
from reports.analysis import Analysis
from reports.escape import Markdown, headline, markdown
from reports.metrics import COLUMNS, searched
from reports.repeats import confirmed


def optimistic(run: Run) -> Markdown:
    """For every table and figure of what the search went by."""
    goal = COLUMNS[searched(run.study)]
    label = f"{goal.label[:1].upper()}{goal.label[1:]}"
    return Markdown(
        f"{label} is the {goal.end} of the arm's trials and therefore optimistic: it"
        f" chooses configurations and says little of how well they do on new"
        f" {markdown(run.study.words.examples)}."
    )


def protocol(run: Run) -> Markdown:
    """How the figures came about, for the top of a report."""
    examples = run.study.words.examples
    searched = f"Each arm is searched with validation {examples} alone"
    if run.study.confirm == 0:
        return Markdown(
            f"{searched}; the best trial of each then answers the test {examples} once, on the one"
            " seed it was trained with."
        )
    seeds = f"{run.study.confirm} fresh seed{'s' if run.study.confirm > 1 else ''}"
    return Markdown(
        f"{searched}; what is chosen is written down, trained again on {seeds}, and each of those"
        f" models answers the test {examples} once."
    )


def interval_over(analysis: Analysis) -> str:
    """What the 95 % intervals on test speak of, as plain text for a heading."""
    examples = analysis.run.study.words.examples
    kinds = {entry.accuracy.of_seeds for entry in analysis.leaders or analysis.entries}
    if kinds == {False}:
        return f"over {examples} only: one seed"
    mixed = f"; over {examples} only where one seed is left" if len(kinds) > 1 else ""
    return f"over seeds and {examples}{mixed}"


def detectable_points(difference: float) -> str:
    """A detectable difference as points without their unit; few seeds may find none at all."""
    return "none below 100" if difference >= 1 else show.points(difference).removeprefix("+")


def resolution(detectable: float) -> str:
    """What differences an experiment can see, for the summary."""
    if detectable >= 1:
        return "An experiment of this size can hardly find any true difference between two arms."
    return (
        "An experiment of this size finds a true difference between two arms of"
        f" {detectable_points(detectable)} points in at best four cases of five; smaller ones"
        " are easily missed, so arms that share a rank need not be equal."
    )


def ranks(analysis: Analysis) -> Markdown | None:
    """What a rank means, and what differences can be seen at all; below the leaderboard."""
    if analysis.detectable is None:
        return None
    points = detectable_points(analysis.detectable)
    return Markdown(
        "An arm's rank is one more than the number of arms that are significantly better (5 %"
        " over all pairs together, by Holm's method); arms that share one need not be equal."
        f" Minimum detectable difference: {points} points, the median over all pairs of the true"
        " difference that is found with 80 % power at 5 %, before that correction."
    )


def cochran(analysis: Analysis) -> Markdown | None:
    """Whether there is any difference at all; below the leaderboard."""
    if not analysis.cochran_p:
        return None
    each = markdown(", ".join(map(show.p_value, analysis.cochran_p)))
    per = ", seed by seed" if len(analysis.cochran_p) > 1 else ""
    return Markdown(f"Cochran's Q, p of no difference between any of the arms{per}: {each}.")


def scorings(run: Run) -> Markdown:
    """How often the test split was answered; below the leaderboard."""
    total = run.test_scorings
    counted = sum(run.study.is_tested(r) for one in confirmed(run) for r in one.runs)
    aside = (
        f" Of these, answers that no figure here uses: {total - counted}; trials.csv has them."
        if total > counted
        else ""
    )
    return Markdown(f"Answers of the test split, one per model: {total}.{aside}")


def stopped(run: Run) -> Markdown | None:
    """Candidates that were not run on all their seeds, and why; below the leaderboard."""
    found = [
        f"{markdown(one.name)} after {len(one.runs) + len(one.lost)} of {len(one.seeds)} seeds"
        f" ({markdown(headline(one.candidate.stopped))})"
        for one in confirmed(run)
        if one.candidate.stopped
    ]
    if not found:
        return None
    return Markdown(
        f"Stopped early on fresh seeds: {'; '.join(found)}. Their figures are of the seeds they"
        " were run on."
    )


def pairs(analysis: Analysis) -> Markdown | None:
    """How to read the table of pairs; below it."""
    if not analysis.pairs:
        return None
    examples = analysis.run.study.words.examples
    seedless = (
        ""
        if all(pair.difference.of_seeds for pair in analysis.pairs)
        else f" Where an arm has one seed, a difference is one over {examples} only: other seeds"
        " may order the arms differently."
    )
    return Markdown(
        f"Differences are in points of test accuracy, row less column, on the same {examples}."
        " Bold: different at 5 %, corrected for all pairs by Holm's method."
        " McNemar's exact test compares two models that share a seed: how many such pairs of"
        f" models it tells apart at 5 %, uncorrected, of how many.{seedless}"
    )


def places(analysis: Analysis) -> Markdown | None:
    """How to read the table of tested candidates in the plane of the front; below it."""
    if not analysis.entries:
        return None
    return Markdown(
        "A candidate is on the front if no other is at least as accurate with at most as many"
        " trained parameters and better in one of the two. The probability is the share of"
        f" resamples ({interval_over(analysis)}) in which it is: *front* in at least 95 % of them,"
        " *dominated* in at most 5 %, *ambiguous* in between."
    )


def hypervolume(analysis: Analysis) -> Markdown | None:
    """The tested front's hypervolume with its reference; beside the figure over trials."""
    found = analysis.hypervolume
    if found is None:
        return None
    within = (
        f" (95 % interval {show.interval(found.low, found.high)}, {interval_over(analysis)})"
        if found.low is not None and found.high is not None
        else ""
    )
    error, size = found.reference
    return Markdown(
        f"Hypervolume of the tested candidates: {show.share(found.value)}{within}. It is the share"
        " of the plane (1 − accuracy, log10 trained parameters) between (0, 0) and the reference"
        f" ({error:.3f}, {size:.3f}), which is guessing with all parameters trained, that they"
        " dominate. With many nearly equal candidates the interval is too narrow."
    )


def expected_best(analysis: Analysis) -> Markdown | None:
    """How to read expected best against budget; below it."""
    if not analysis.expected_best:
        return None
    return Markdown(
        "Validation accuracy to be expected of the best of n trials drawn at random (Dodge 2019,"
        " in the unbiased form of Tang 2020). It says what a search of that size reaches on"
        " validation, which is optimistic."
    )


def baselines(study: StudyRecord) -> Markdown:
    """What can be had on validation without a model."""
    first, *others = (
        f"{markdown(each.said)} {{}}{show.share(each.scores[ACCURACY])}{{}}"
        for each in study.baselines
    )
    whole = [
        first.format("answers ", f" of the validation {study.words.examples} right"),
        *(other.format("", "") for other in others),
    ]
    said = ", ".join(whole)
    return Markdown(f"{said[:1].upper()}{said[1:]}.")
