"""Shares of a study: every trial in exactly one, and who excludes whom."""

import pytest

from bench.storage.locks import WHOLE, Share


@pytest.mark.parametrize("of", [2, 3, 4, 7])
def test_every_trial_is_in_exactly_one_share(of: int) -> None:
    shares = [Share(number, of) for number in range(1, of + 1)]
    for arm in range(5):
        for number in range(20):
            assert sum(share.holds(arm, number) for share in shares) == 1


@pytest.mark.parametrize("of", [2, 3, 4])
def test_every_share_gets_as_many_trials_of_each_arm_but_one(of: int) -> None:
    for arm in range(5):
        counts = [
            sum(Share(number, of).holds(arm, trial) for trial in range(10))
            for number in range(1, of + 1)
        ]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == 10


def test_arms_of_one_trial_are_spread_over_the_shares() -> None:
    counts = [sum(Share(number, 2).holds(arm, 0) for arm in range(6)) for number in (1, 2)]
    assert counts == [3, 3]


def test_the_whole_holds_everything() -> None:
    assert WHOLE.holds(3, 8)
    assert Share.parse(" 2/4 ") == Share(2, 4)
    assert str(Share(2, 4)) == "2/4"
    assert not Share.parse("1/1").is_part


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2", "1/2/3", "", "1/99999"])
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2/4"):
        Share.parse(text)


def test_shares_of_one_division_run_side_by_side_and_nothing_else() -> None:
    first, second, third = Share(1, 2), Share(2, 2), Share(1, 3)
    assert not first.excludes(second.lock)
    assert first.excludes(third.lock)
    assert Share(1, 2).excludes(Share(1, 22).lock)
    assert first.excludes(WHOLE.lock)
    assert WHOLE.excludes(first.lock)
    assert not first.excludes(".closing.lock")
    assert WHOLE.excludes(".closing.lock")
