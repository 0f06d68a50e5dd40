"""Fresh seeds in two rounds, and who is stopped between them."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records.study_record import Candidate, Freeze
from bench.records.trial_record import Status, TrialRecord
from bench.tune.confirmation import LOOK_AFTER, Confirmation, make_freeze
from tests.helpers.records import study, trial
from tests.helpers.simulate import confirming

QUESTIONS = 500
SMALL = trial("lora", 0, right=250, parameters=100)
LARGE = trial("lora", 1, right=300, parameters=5_000)
LUCKY = trial("adapter", 0, right=270, parameters=1_000)
BEST = trial("adapter", 1, right=299, parameters=4_000)
SEARCHED = [SMALL, LARGE, LUCKY, BEST]
STUDY = study(
    ("lora", "adapter"), planned=2, confirm=5,
    contexts={"lora": "abcd000011112222", "adapter": "abcd000011112222"},
)  # fmt: skip


class Rounds:
    """A confirmation whose trials end as they are told to."""

    def __init__(self, shares: dict[str, float], seeds: int = 5) -> None:
        self.shares = shares
        self.written: list[tuple[Freeze, tuple[str, ...]]] = []
        self.given: list[tuple[str, int]] = []
        self.confirmation = Confirmation(
            STUDY,
            SEARCHED,
            make_freeze(SEARCHED, seed=0, seeds=seeds),
            make_spec=self.note,  # type: ignore[arg-type]
            write=lambda freeze, names: self.written.append((freeze, names)),
        )

    def note(self, candidate: Candidate, seed: int) -> tuple[str, int]:
        self.given.append((f"{candidate.arm}-{candidate.number:03d}", seed))
        return self.given[-1]

    def end(self, name: str, seed: int, **changes: object) -> TrialRecord:
        chosen = next(record for record in SEARCHED if record.trial == name)
        generator = np.random.default_rng([seed, len(name)])
        right = generator.random(QUESTIONS) < self.shares[name]
        record = confirming(chosen, seed, right, None, generator).model_copy(update=changes)
        self.confirmation.finish(record)
        return record

    def play(self) -> None:
        """Runs everything to the end, one after the other."""
        while self.confirmation.next() is not None:
            self.end(*self.given[-1])


CLEAR = {"lora-000": 0.50, "lora-001": 0.60, "adapter-000": 0.30, "adapter-001": 0.55}


def test_the_first_seeds_of_all_come_before_the_rest() -> None:
    rounds = Rounds(CLEAR)
    rounds.play()

    first = rounds.given[: 4 * LOOK_AFTER]
    assert [seed for _, seed in first] == [s for s in (1001, 1002, 1003) for _ in range(4)]
    assert {seed for _, seed in rounds.given[4 * LOOK_AFTER :]} == {1004, 1005}


def test_between_the_rounds_one_waits_for_all_that_run() -> None:
    rounds = Rounds(CLEAR)
    for _ in range(4 * LOOK_AFTER):
        assert rounds.confirmation.next() is not None
    for name, seed in rounds.given[:-1]:
        rounds.end(name, seed)
    assert rounds.confirmation.next() is None

    rounds.end(*rounds.given[-1])
    assert rounds.confirmation.next() is not None


def test_what_cannot_reach_the_front_stops_but_no_arm_s_chosen_one() -> None:
    rounds = Rounds(CLEAR)
    rounds.play()

    seeds = {name: sum(given == name for given, _ in rounds.given) for name in CLEAR}
    assert seeds == {"lora-000": 5, "lora-001": 5, "adapter-000": 3, "adapter-001": 5}
    ((freeze, names),) = rounds.written
    assert names == ("adapter-000",)
    stopped = {c.arm: c.stopped for c in freeze.candidates if c.stopped}
    assert list(stopped) == ["adapter"]
    assert "after 3 seeds the front was out of reach: probability 0.000" in str(stopped["adapter"])


def test_what_may_still_reach_the_front_goes_on() -> None:
    rounds = Rounds({**CLEAR, "adapter-000": 0.50})
    rounds.play()

    assert len(rounds.given) == 20
    assert rounds.written == []


def test_three_seeds_need_no_second_round() -> None:
    rounds = Rounds(CLEAR, seeds=3)
    rounds.play()

    assert len(rounds.given) == 12
    assert rounds.written == []


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT])
def test_accidents_of_an_earlier_run_are_tried_again_and_results_are_not(status: Status) -> None:
    before, now = Rounds(CLEAR), Rounds(CLEAR)
    done = before.end("lora-000", 1001)
    lost = before.end("lora-001", 1001, status=status, accuracy=None)
    diverged = before.end("adapter-001", 1001, status=Status.DIVERGED, accuracy=None)

    kept = [record for record in (done, lost, diverged) if now.confirmation.keep(record)]
    now.play()
    assert kept == [done, diverged]
    assert ("lora-000", 1001) not in now.given
    assert ("adapter-001", 1001) not in now.given
    assert ("lora-001", 1001) in now.given


def test_a_seed_that_is_lost_holds_up_nothing() -> None:
    rounds = Rounds(CLEAR)
    while rounds.confirmation.next() is not None:
        name, seed = rounds.given[-1]
        lost = name == "lora-001" and seed == 1002
        rounds.end(name, seed, **({"status": Status.DIVERGED, "accuracy": None} if lost else {}))

    assert {c.number for c in rounds.confirmation.freeze.candidates if c.stopped} == {0}
    assert rounds.confirmation.left == 0
