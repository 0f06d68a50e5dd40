"""What is said of a study that searched another metric than accuracy, and which it recommends."""

from __future__ import annotations

from functools import cache

from bench.records.study_record import Candidate, Freeze, Run
from bench.records.trial_record import Scores, TrialRecord
from reports.analysis import Analysis, analyse
from reports.page.html import html_report
from reports.recommend import Advice, Wishes, recommend
from reports.text.findings import summary
from reports.text.markdown import report
from tests.helpers.records import one_seed_run, study, trial

GOAL = "macro_f1"
CONTEXT = "abcd000011112222"


def judged(record: TrialRecord, validation: float, test: float) -> TrialRecord:
    """The record with these macro-F1 scores."""
    scores = Scores(
        objective=GOAL,
        before=0.1,
        per_epoch=(validation,) * 3,
        validation={GOAL: validation, "accuracy": 0.6},
        confidences="",
    )
    assert record.test is not None
    tested = record.test.model_copy(update={"scores": {GOAL: test}})
    return record.model_copy(update={"scores": scores, "test": tested})


@cache
def analysis() -> Analysis:
    """A ``full`` of higher accuracy than ``lora``, which is better by macro-F1."""
    records = [
        judged(trial("full", right=400, test=400), 0.3, 0.32),
        judged(trial("lora", right=350, test=350), 0.6, 0.62),
        judged(trial("linear", right=390, test=390), 0.2, 0.22),
    ]
    arms = tuple(record.arm for record in records)
    asked = study(arms, planned=1, contexts=dict.fromkeys(arms, CONTEXT), objective=GOAL)
    candidates = tuple(
        Candidate(fingerprint=r.fingerprint, arm=r.arm, number=0, is_best=True, on_front=True)
        for r in records
    )
    freeze = Freeze(searched="0" * 16, seeds=(), candidates=candidates)
    return analyse(Run.of(asked, records, freeze))


def test_the_summary_begins_with_what_the_search_went_by() -> None:
    first, second, *_ = summary(analysis())
    assert first == (
        "The search went by macro-F1: of 3 tested arms, **lora** has the highest test macro-F1,"
        " 0.620, on one seed, with 74,113 trained parameters. What follows is of accuracy."
    )
    assert second.startswith("Of 3 tested arms, **full** has the highest test accuracy: 0.800")


def test_the_summary_leads_by_the_lowest_where_lower_is_better() -> None:
    first = summary(_by_error(test=0.1))[0]
    assert "**lora** has the lowest test expected calibration error, 0.100, on one seed" in first


def test_an_objective_that_no_test_tells_is_said_to_be_unknown() -> None:
    first = summary(_by_error(test=None))[0]
    assert first == "The search went by expected calibration error, which is not known of any test."


def _by_error(test: float | None) -> Analysis:
    record = trial("lora", test=300)
    assert record.test is not None
    scores = {} if test is None else {"calibration_error": test}
    tested = record.model_copy(update={"test": record.test.model_copy(update={"scores": scores})})
    asked = study(("lora",), planned=1, objective="calibration_error")
    return analyse(one_seed_run(asked, [tested]))


def test_the_front_of_the_search_shows_what_it_is_the_front_of() -> None:
    text = report(analysis())
    front = text.partition("### Front of the search")[2].partition("##")[0]
    assert "a better validation macro-F1 and no more trained parameters" in front
    rows = [line.split(" | ") for line in front.splitlines() if line.startswith("| l")]
    assert [(row[0], row[3]) for row in rows] == [
        ("| linear-000", "0.200"),
        ("| lora-000", "0.600"),
    ]
    assert "validation macro-F1 | training time" in front


def test_validation_is_called_optimistic_in_what_the_search_went_by() -> None:
    assert "Validation macro-F1 is the highest of the arm's trials" in report(analysis())


def test_the_leaderboard_of_the_page_shows_it_too() -> None:
    board = html_report(analysis()).partition('id="leaderboard"')[2].partition("</table>")[0]
    assert ">test macro-F1</th>" in board
    assert board.index("0.620") < board.index("0.320") < board.index("0.220")


def test_the_recommended_configuration_is_best_by_it_not_by_accuracy() -> None:
    found = recommend(analysis(), Wishes())
    assert isinstance(found, Advice)
    assert found.chosen.arm == "lora"
    assert found.best is None


def test_what_is_given_up_for_a_limit_is_against_the_best_by_it() -> None:
    found = recommend(analysis(), Wishes(accuracy=0.79))
    assert isinstance(found, Advice)
    assert found.chosen.arm == "full"
    assert found.best is not None
    assert found.best.other.arm == "lora"
