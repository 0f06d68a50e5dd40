"""Arms: what a study may say of a strategy's knobs, and what it is told when it is wrong."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest

from bench.errors import StudyError
from bench.space import LEARNING_RATE, Choice, Integer, Space, Uniform
from bench.strategy import Strategy
from bench.study.arm import Arm, make_arm


@dataclass(frozen=True, kw_only=True)
class Example(Strategy):
    """A strategy with a knob of every kind."""

    name: ClassVar[str] = "example"
    paper: ClassVar[str] = "https://example.org"
    rank: int = 8
    ratio: float = 2.0
    targets: Literal["query", "all"] = "query"
    merge: bool = False
    start_from: bool | Literal["noise", "words"] = True
    share: int | float = 1

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank >= 1 must hold, got {self.rank}")

    def adapt(self, backbone: Any) -> Any:
        return backbone


RATE = Uniform(low=1e-4, high=1e-2, log=True)
SPACE = Space(
    knobs={
        LEARNING_RATE: RATE,
        "rank": Integer(low=1, high=64, log=True),
        "targets": Choice(options=("query", "all")),
    },
    starts=(
        {LEARNING_RATE: 1e-3, "rank": 8, "targets": "query"},
        {LEARNING_RATE: 1e-3, "rank": 32, "targets": "query"},
        {LEARNING_RATE: 5e-3, "rank": 8, "targets": "all"},
    ),
)


def make(**settings: Any) -> Arm:
    return make_arm("mine", Example, SPACE, settings)


def problems(**settings: Any) -> list[str]:
    with pytest.raises(StudyError) as caught:
        make(**settings)
    return list(caught.value.problems)


def test_without_settings_an_arm_searches_what_the_strategy_searches() -> None:
    arm = make()
    assert arm.fixed == {}
    assert arm.space == SPACE


def test_a_fixed_knob_leaves_the_space_and_reaches_the_strategy() -> None:
    arm = make(rank=4, merge=True)
    assert set(arm.space.knobs) == {LEARNING_RATE, "targets"}
    strategy, rate = arm.build({LEARNING_RATE: 2e-3, "targets": "all"})
    assert strategy == Example(rank=4, merge=True, targets="all")
    assert rate == 2e-3


def test_a_fixed_learning_rate_is_used_by_every_trial() -> None:
    arm = make(learning_rate=3e-3)
    assert LEARNING_RATE not in arm.space.knobs
    assert arm.build({"rank": 2})[1] == 3e-3


def test_a_range_overrides_the_strategy_s_own() -> None:
    arm = make(rank={"low": 2, "high": 4}, learning_rate={"low": 1e-5, "high": 1e-3, "log": True})
    assert str(arm.space.knobs["rank"]) == "2 … 4"
    assert str(arm.space.knobs[LEARNING_RATE]) == "1e-05 … 0.001 (log)"
    assert arm.fixed == {}


def test_choices_override_a_range() -> None:
    arm = make(rank={"choices": [4, 16]})
    assert arm.space.knobs["rank"].ends == (4, 16)
    assert arm.space.size == float("inf")


def test_a_knob_that_is_not_searched_can_be() -> None:
    arm = make(ratio={"low": 1, "high": 4}, merge={"choices": [True, False]})
    assert arm.space.knobs["ratio"].ends == (1.0, 4.0)
    assert arm.space.knobs["merge"].ends == (True, False)


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", 1e-4])
def test_a_number_that_yaml_reads_as_text_is_a_number(written: object) -> None:
    assert make(learning_rate=written).fixed == {LEARNING_RATE: 1e-4}
    ranged = make(learning_rate={"low": written, "high": "1e-3"})
    assert ranged.space.knobs[LEARNING_RATE].ends == (1e-4, 1e-3)
    assert make(learning_rate={"choices": [written]}).space.knobs[LEARNING_RATE].ends == (1e-4,)


def test_a_whole_number_for_a_real_knob_becomes_real() -> None:
    value = make(ratio=4).fixed["ratio"]
    assert (type(value), value) == (float, 4.0)


@pytest.mark.parametrize("value", [False, "noise"])
def test_a_knob_of_several_kinds_takes_a_value_of_each(value: object) -> None:
    assert make(start_from=value).fixed == {"start_from": value}


def test_a_value_of_none_of_the_kinds_is_told_with_all_of_them() -> None:
    (told,) = problems(start_from="zeros")
    assert told == "mine.start_from = 'zeros': must be bool, or allowed are noise, words"


def test_a_range_of_a_knob_that_is_whole_or_real_is_real() -> None:
    dimension = make(share={"low": 1, "high": 4}).space.knobs["share"]
    assert isinstance(dimension, Uniform)
    assert dimension.ends == (1.0, 4.0)
    (told,) = problems(start_from={"low": 1, "high": 2})
    assert told.endswith("only numbers have a range; give choices")


def test_an_unknown_knob_suggests_the_near_name_and_lists_the_others() -> None:
    (told,) = problems(rnak=8)
    assert told == (
        "mine.rnak = 8: no such knob (did you mean rank?);"
        " mine has learning_rate, merge, rank, ratio, share, start_from, targets"
    )
    assert "did you mean" not in problems(colour="red")[0]


def test_all_wrong_values_are_told_together() -> None:
    told = problems(
        rank="eight",
        merge=1,
        targets="none",
        ratio={"low": 3, "high": 1},
        colour=0,
        learning_rate=1,
    )
    assert [sentence.split(" = ")[0] for sentence in told] == [
        "mine.rank",
        "mine.merge",
        "mine.targets",
        "mine.ratio",
        "mine.colour",
    ]
    assert told[0].endswith("must be int")
    assert told[1].endswith("must be bool")
    assert told[2].endswith("allowed are query, all")
    assert told[3].endswith("low <= high must hold for finite bounds, got low=3.0, high=1.0")


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        (True, "must be int"),
        (8.0, "must be int"),
        ("8", "must be int"),
        (None, "must be int"),
        ([4, 8], "must be int"),
        ({"low": 1}, "a range needs low and high"),
        ({"low": 1, "high": 8, "step": 2}, "step: a range has low, high, log or choices"),
        ({4: None, 8: None}, "4, 8: a range has low, high, log or choices"),
        ({"low": 0, "high": 8, "log": True}, "a logarithmic range needs low > 0, got low=0"),
        ({"low": 1, "high": 8, "log": "no"}, "log must be true or false, got 'no'"),
        ({"low": 0.5, "high": 8}, "must be int"),
        ({"choices": 8}, "choices must be a list"),
        ({"choices": []}, "a choice needs different options, got []"),
        ({"choices": [4, 4]}, "a choice needs different options, got [4, 4]"),
        ({"choices": [4, "x"]}, "must be int"),
    ],
    ids=str,
)
def test_a_setting_that_does_not_fit_names_the_knob_the_value_and_the_rule(
    setting: object, rule: str
) -> None:
    assert problems(rank=setting) == [f"mine.rank = {setting!r}: {rule}"]


def test_only_numbers_have_a_range() -> None:
    (told,) = problems(targets={"low": 1, "high": 2})
    assert told.endswith("only numbers have a range; give choices")


@pytest.mark.parametrize("value", ["much", float("nan"), float("inf"), "inf"])
def test_a_real_knob_must_be_a_finite_number(value: object) -> None:
    (told,) = problems(learning_rate=value)
    assert told.startswith(f"mine.learning_rate = {value!r}: ")


@pytest.mark.parametrize(
    "setting", [0, -1e-3, {"low": 0, "high": 1}, {"choices": [1e-3, -1.0]}], ids=str
)
def test_no_learning_rate_may_be_zero_or_below(setting: object) -> None:
    (told,) = problems(learning_rate=setting)
    assert "learning_rate > 0 must hold, got " in told


def test_a_value_the_strategy_refuses_is_told_once_with_its_sentence() -> None:
    assert problems(rank=0) == ["mine: rank >= 1 must hold, got 0"]


def test_an_end_of_a_range_the_strategy_refuses_is_told_before_any_trial_meets_it() -> None:
    (told,) = problems(rank={"low": 0, "high": 8})
    assert told == "mine.rank = 0: rank >= 1 must hold, got 0"


def test_starts_that_no_longer_fit_are_dropped() -> None:
    arm = make(rank={"low": 1, "high": 16})
    assert arm.space.starts == (SPACE.starts[0], SPACE.starts[2])


def test_starts_lose_the_fixed_knobs_and_are_not_repeated() -> None:
    arm = make(rank=4)
    assert arm.space.starts == (
        {LEARNING_RATE: 1e-3, "targets": "query"},
        {LEARNING_RATE: 5e-3, "targets": "all"},
    )


def test_a_study_s_own_starts_replace_the_others() -> None:
    arm = make(start=[{"learning_rate": "2e-3", "rank": 2}])
    assert arm.space.starts == ({LEARNING_RATE: 2e-3, "rank": 2},)


@pytest.mark.parametrize(
    ("start", "rule"),
    [
        ({"rank": 8}, "must be a list of {knob: value}"),
        ([8], "must be a list of {knob: value}"),
        ([{"ratio": 1.0}], "ratio: searched are learning_rate, rank, targets"),
        ([{8: 1, "ratio": 1.0}], "8, ratio: searched are learning_rate, rank, targets"),
        ([{"rank": 65}], "rank = 65 must be inside 1 … 64 (log)"),
        ([{"rank": "x"}], "must be int"),
    ],
    ids=str,
)
def test_a_start_that_does_not_fit_is_refused(start: object, rule: str) -> None:
    (told,) = problems(start=start)
    assert told.startswith("mine.start: ")
    assert told.endswith(rule)


def test_a_start_is_completed_with_defaults_or_the_first_value_of_the_range() -> None:
    arm = make(targets={"choices": ["all"]}, rank={"low": 2, "high": 16})
    assert arm.complete({LEARNING_RATE: 3e-3}) == {
        LEARNING_RATE: 3e-3,
        "rank": 8,
        "targets": "all",
    }


def test_a_completed_start_can_be_built() -> None:
    arm = make(rank=4)
    for start in arm.space.starts:
        strategy, rate = arm.build(arm.complete(start))
        assert strategy.knobs["rank"] == 4
        assert rate == start[LEARNING_RATE]
