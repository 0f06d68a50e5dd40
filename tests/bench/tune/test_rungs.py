"""Who goes on from a rung: cases worked out by hand."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from bench.records.study_record import Halving
from bench.records.trial_record import Accuracy, Status, TrialRecord
from bench.tune.rungs import RungPoint, Rungs, crowding, ranking
from bench.tune.scheduler import HalvingScheduler
from tests.helpers.records import broken, trial

THIRD = Halving(reduction_factor=3, grace_epochs=1)
HALF = Halving(reduction_factor=2, grace_epochs=1)


def reached(
    number: int, *per_epoch: float, arm: str = "lora", parameters: int = 100, epochs: int = 3
) -> TrialRecord:
    """A trial after as many epochs as accuracies are given."""
    best = max(per_epoch)
    return trial(
        arm,
        number,
        parameters=parameters,
        status=Status.COMPLETED if len(per_epoch) == epochs else Status.PRUNED,
        accuracy=Accuracy(
            before=0.25,
            per_epoch=per_epoch,
            validation=best,
            best_epoch=per_epoch.index(best) + 1,
            predictions=(),
        ),
    )


@pytest.mark.parametrize(
    ("factor", "grace", "epochs", "rungs"),
    [
        (3, 1, 3, (1,)),
        (3, 1, 4, (1, 3)),
        (3, 1, 5, (1, 3)),
        (3, 1, 10, (1, 3, 9)),
        (2, 2, 8, (2, 4)),
        (2, 3, 3, ()),
        (2, 1, 1, ()),
    ],
)
def test_rungs_lie_at_powers_of_the_factor_and_never_at_the_last_epoch(
    factor: int, grace: int, epochs: int, rungs: tuple[int, ...]
) -> None:
    rule = Halving(reduction_factor=factor, grace_epochs=grace)
    assert Rungs(rule, epochs).after == rungs


def test_a_dominated_front_comes_after_the_one_that_dominates_it() -> None:
    first = [RungPoint(0.8, 100), RungPoint(0.6, 50)]
    second = [RungPoint(0.7, 120), RungPoint(0.5, 60)]
    assert ranking([*second, *first]) == [2, 3, 0, 1]


def test_the_crowding_distance_of_four_points() -> None:
    front = [RungPoint(0.9, 100), RungPoint(0.8, 40), RungPoint(0.5, 30), RungPoint(0.4, 0)]
    distances = crowding(front)
    second = (0.9 - 0.5) / 0.5 + (100 - 30) / 100
    third = (0.8 - 0.4) / 0.5 + (40 - 0) / 100
    expected = [math.inf, second, third, math.inf]
    assert [distances[point] for point in front] == pytest.approx(expected)


def test_within_a_front_its_ends_come_first_then_the_lonelier_points() -> None:
    front = [RungPoint(0.5, 30), RungPoint(0.8, 40), RungPoint(0.4, 0), RungPoint(0.9, 100)]
    assert ranking(front) == [3, 2, 1, 0]


def test_an_equal_point_comes_after_the_earlier_one_and_after_what_differs() -> None:
    assert ranking([RungPoint(0.5, 10), RungPoint(0.5, 10)]) == [0, 1]
    assert ranking([RungPoint(0.5, 10), RungPoint(0.5, 10), RungPoint(0.6, 20)]) == [2, 0, 1]
    assert ranking([RungPoint(0.5, 10)] * 4) == [0, 1, 2, 3]


def test_the_most_accurate_trial_always_comes_first() -> None:
    generator = random.Random(0)
    for _ in range(200):
        points = [
            RungPoint(generator.randint(0, 9) / 10, generator.randint(1, 9))
            for _ in range(generator.randint(1, 12))
        ]
        best = min(points, key=lambda point: (-point.rank, point.parameters))
        order = ranking(points)
        assert order[0] == points.index(best)
        assert sorted(order) == list(range(len(points)))


def test_one_in_three_goes_on_and_never_fewer_than_one() -> None:
    rungs = Rungs(THIRD, 3)
    arrivals = [0.5, 0.4, 0.6, 0.6, 0.7, 0.65]
    told = [rungs.judge(reached(number, score)) for number, score in enumerate(arrivals)]
    assert told == [
        None,
        "stopped after 1 of 3 epochs: place 2 of 2 in its arm, the best goes on",
        None,
        "stopped after 1 of 3 epochs: place 2 of 4 in its arm, the best goes on",
        None,
        None,  # the second of six
    ]
    assert "place 7 of 7 in its arm, the best 2 go on" in str(rungs.judge(reached(6, 0.1)))


def test_fewer_parameters_make_up_for_accuracy() -> None:
    rungs = Rungs(HALF, 3)
    rungs.judge(reached(0, 0.6, parameters=100))
    rungs.judge(reached(1, 0.5, parameters=100))
    rungs.judge(reached(2, 0.4, parameters=100))
    assert rungs.judge(reached(3, 0.5, parameters=10)) is None


def test_arms_are_never_compared() -> None:
    rungs = Rungs(THIRD, 3)
    assert rungs.judge(reached(0, 0.9, arm="full")) is None
    assert rungs.judge(reached(0, 0.1, arm="lora")) is None
    assert rungs.judge(reached(1, 0.2, arm="full"))


def test_only_rungs_stop_and_each_counts_the_best_epoch_so_far() -> None:
    rungs = Rungs(THIRD, 5)
    for scores in ((0.5,), (0.5, 0.7), (0.5, 0.7, 0.3)):
        assert rungs.judge(reached(0, *scores)) is None
    assert rungs.judge(reached(1, 0.6)) is None
    assert rungs.judge(reached(1, 0.6, 0.1)) is None
    assert "after 3 of 5 epochs: place 2 of 2" in str(rungs.judge(reached(1, 0.6, 0.1, 0.65)))


def test_a_trial_that_reports_a_rung_again_goes_on_and_is_not_counted_twice() -> None:
    rungs = Rungs(THIRD, 3)
    rungs.judge(reached(0, 0.5))
    assert rungs.judge(reached(1, 0.6)) is None
    assert rungs.judge(reached(1, 0.3)) is None
    assert "place 3 of 3" in str(rungs.judge(reached(2, 0.4)))


def test_records_of_an_earlier_run_take_their_places() -> None:
    live, rebuilt = Rungs(HALF, 3), Rungs(HALF, 3)
    for record in (reached(0, 0.5), reached(0, 0.5, 0.6), reached(1, 0.4)):
        live.judge(record)
    for record in (reached(0, 0.5, 0.6, 0.8), reached(1, 0.4)):
        rebuilt.count(record)

    for rungs in (live, rebuilt):
        assert "place 2 of 3" in str(rungs.judge(reached(2, 0.45)))
        assert rungs.judge(reached(3, 0.55)) is None
        assert "after 2 of 3 epochs: place 2 of 2" in str(rungs.judge(reached(3, 0.55, 0.58)))


def test_a_trial_that_ends_without_a_result_stands_in_nobodys_way() -> None:
    rungs = Rungs(THIRD, 3)
    rungs.judge(reached(0, 0.9))
    lost = broken("lora", 0, Status.DIVERGED)
    rungs.count(lost.model_copy(update={"fingerprint": reached(0, 0.9).fingerprint}))
    assert rungs.judge(reached(1, 0.1)) is None


def test_a_trial_stopped_where_there_is_no_rung_now_does_not_count() -> None:
    stopped = reached(0, 0.5)
    assert not Rungs(THIRD, 3).void(stopped)
    assert Rungs(Halving(reduction_factor=3, grace_epochs=2), 3).void(stopped)
    assert Rungs().void(stopped)
    assert not Rungs().void(reached(0, 0.5, 0.5, 0.5))
    assert not Rungs().void(broken("lora", 0))


def test_without_a_rule_nothing_stops() -> None:
    rungs = Rungs()
    assert rungs.after == ()
    assert all(
        rungs.judge(reached(number, *[0.5 - number / 10] * epochs)) is None
        for number, epochs in itertools.product(range(3), (1, 2, 3))
    )


STATUSES = (Trial.RUNNING, Trial.TERMINATED, Trial.PAUSED, Trial.PENDING)


class Queue:
    """Tune's list of trials, and those of them that have not ended."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []

    def get_trials(self) -> list[Trial]:
        return self.trials

    def get_live_trials(self) -> set[Trial]:
        return {trial for trial in self.trials if trial.status != Trial.TERMINATED}


def test_the_next_trial_is_the_one_that_rays_own_scheduler_would_choose() -> None:
    queue, mine = Queue(), HalvingScheduler(lambda *_: False)
    generator = random.Random(0)
    for number in range(300):
        one = Trial("worker", trial_id=f"t{number}", stub=True)
        queue.trials.append(one)
        mine.on_trial_add(queue, one)
        some = generator.choice(queue.trials)
        some.status = generator.choice(STATUSES)
        if number % 10 == 0 and some.status == Trial.PENDING:  # its worker died: to the end
            queue.trials.remove(some)
            queue.trials.append(some)
            mine.on_trial_add(queue, some)
        assert mine.choose_trial_to_run(queue) is FIFOScheduler().choose_trial_to_run(queue)
