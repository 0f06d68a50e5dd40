import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.spec import TrainSettings, TrialSpec
from bench.records.trial_record import Accuracy, Parameters, Status, TrialRecord
from bench.space import Choice, Integer, Space, Uniform, Value
from bench.storage.locks import Share
from bench.study.arm import Arm
from bench.tune.plan import Draws, Plan
from strategies.full import Full
from strategies.lora import LoRA

FULL = Arm(
    name="full",
    strategy=Full,
    fixed={},
    space=Space(
        knobs={"learning_rate": Uniform(low=1e-5, high=1e-3, log=True)},
        starts=({"learning_rate": 5e-5},),
    ),
)
LORA = Arm(
    name="lora",
    strategy=LoRA,
    fixed={},
    space=Space(
        knobs={
            "learning_rate": Uniform(low=1e-4, high=1e-2, log=True),
            "rank": Integer(low=1, high=64, log=True),
        },
        starts=({"learning_rate": 1e-3},),
    ),
)
FEW = Arm(
    name="few",
    strategy=LoRA,
    fixed={"learning_rate": 1e-3},
    space=Space(knobs={"rank": Choice(options=(1, 2, 4))}),
)


def spec(arm: Arm, number: int, values: Mapping[str, Value]) -> TrialSpec:
    strategy, learning_rate = arm.build(values)
    return TrialSpec(
        study="test",
        arm=arm.name,
        number=number,
        task=MultipleChoice(),
        strategy=strategy,
        learning_rate=learning_rate,
        seed=0,
        settings=TrainSettings(),
        data="data",
        model="model",
        code="code",
        context="context",
    )


def ended(given: TrialSpec, validation: float = 0.5) -> TrialRecord:
    return TrialRecord.of(
        given,
        Status.COMPLETED,
        accuracy=Accuracy(
            before=0.25,
            per_epoch=(validation,),
            validation=validation,
            best_epoch=1,
            predictions=(),
        ),
        parameters=Parameters(
            trained=10,
            head=1,
            added=10,
            total=20,
            trained_tensors=2,
            stored_bytes=40,
            added_at_inference=1,
        ),
    )


def plan(*arms: Arm, trials: int = 6, sampler: str = "tpe", seed: int = 0, **sharing: Any) -> Plan:
    planned = {arm.name: int(min(trials, arm.space.size)) for arm in arms}
    return Plan(arms, planned=planned, sampler=sampler, seed=seed, make_spec=spec, **sharing)


def run(given: Plan) -> list[TrialSpec]:
    specs = []
    while (following := given.next()) is not None:
        specs.append(following)
        given.finish(ended(following))
    return specs


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_arm_gets_the_same_budget_and_its_start_first(sampler: str) -> None:
    specs = run(plan(FULL, LORA, sampler=sampler))

    assert [s.arm for s in specs[:4]] == ["full", "lora", "full", "lora"]
    for arm, start in (("full", 5e-5), ("lora", 1e-3)):
        mine = [s for s in specs if s.arm == arm]
        assert [s.number for s in mine] == [0, 1, 2, 3, 4, 5]
        assert mine[0].learning_rate == start
        assert len({s.fingerprint for s in mine}) == 6


def test_a_start_takes_what_it_does_not_name_from_the_strategy() -> None:
    first = run(plan(LORA, trials=1))[0]

    assert first.strategy == LoRA(rank=LoRA().rank)


def test_random_trials_depend_on_seed_arm_and_number_alone() -> None:
    alone = [s.values for s in run(plan(LORA, sampler="random"))]
    together = [s.values for s in run(plan(FULL, LORA, sampler="random")) if s.arm == "lora"]
    longer = [s.values for s in run(plan(LORA, sampler="random", trials=9))]
    other = [s.values for s in run(plan(LORA, sampler="random", seed=1))]

    assert alone == together == longer[:6]
    assert alone[1:] != other[1:]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_finite_space_is_tried_out_without_repeats(sampler: str) -> None:
    specs = run(plan(FEW, sampler=sampler, trials=10))

    assert sorted(s.strategy.knobs["rank"] for s in specs) == [1, 2, 4]


def test_an_arm_with_nothing_to_search_runs_once() -> None:
    fixed = Arm(name="one", strategy=Full, fixed={"learning_rate": 1e-4}, space=Space(knobs={}))

    assert [s.learning_rate for s in run(plan(fixed, trials=5))] == [1e-4]


def test_a_resumed_plan_gives_out_only_what_is_left() -> None:
    earlier = [ended(s) for s in run(plan(FULL, trials=3))]
    resumed = plan(FULL, trials=5)

    assert all(resumed.keep(record) for record in earlier)
    specs = run(resumed)

    assert [s.number for s in specs] == [3, 4]
    assert not {s.fingerprint for s in specs} & {r.fingerprint for r in earlier}


def test_a_failed_trial_is_given_out_again_and_a_diverged_one_is_not() -> None:
    first, second = run(plan(FULL, trials=2))
    resumed = plan(FULL, trials=2)

    assert not resumed.keep(TrialRecord.of(first, Status.FAILED, reason="the disk was full"))
    assert resumed.keep(TrialRecord.of(second, Status.DIVERGED, reason="the loss became nan"))
    assert [s.fingerprint for s in run(resumed)] == [first.fingerprint]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_failed_trial_is_tried_again_with_the_values_it_had(sampler: str) -> None:
    specs = run(plan(LORA, trials=5, sampler=sampler))
    resumed = plan(LORA, trials=5, sampler=sampler)

    for given in specs[:4]:
        resumed.keep(ended(given))
    resumed.keep(TrialRecord.of(specs[4], Status.FAILED, reason="its worker died"))

    assert [s.fingerprint for s in run(resumed)] == [specs[4].fingerprint]


def test_every_end_is_told_to_optuna_and_nothing_stays_running() -> None:
    given = plan(LORA, trials=3)
    first, second, third = (given.next() for _ in range(3))
    assert first is not None and second is not None and third is not None  # noqa: PT018

    given.finish(ended(first))
    given.finish(TrialRecord.of(second, Status.DIVERGED, reason="the loss became nan"))
    given.finish(TrialRecord.of(third, Status.PRUNED, reason="stopped at a rung"))

    states = [trial.state for trial in given.studies["lora"].trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]
    assert given.studies["lora"].trials[0].values == [0.5, 10.0]


def test_tpe_moves_towards_what_was_good() -> None:
    def score(learning_rate: float) -> float:
        return 0.9 if learning_rate > 3e-4 else 0.3

    given = plan(FULL, trials=40)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while (following := given.next()) is not None:
            rates.append(following.learning_rate)
            given.finish(ended(following, score(following.learning_rate)))

    good = [score(rate) > 0.5 for rate in rates]
    assert sum(good[20:]) > 12  # a uniform draw would give about 5 of 20


def test_what_is_drawn_of_a_finite_space_is_reproducible_one_by_one() -> None:
    drawn = [Draws(FEW, seed=3)[number] for number in range(3)]

    assert drawn[2] == Draws(FEW, seed=3)[2]
    assert sorted(int(values["rank"]) for values in drawn) == [1, 2, 4]


@pytest.mark.parametrize("parts", [2, 3])
def test_shares_of_a_random_search_are_together_the_search(parts: int) -> None:
    whole = run(plan(FULL, LORA, FEW, sampler="random"))
    shares = [
        run(plan(FULL, LORA, FEW, sampler="random", share=Share(number, parts)))
        for number in range(1, parts + 1)
    ]

    together = [s for share in shares for s in share]
    assert len(together) == len(whole)
    assert {s.fingerprint for s in together} == {s.fingerprint for s in whole}


def test_shares_of_a_tpe_search_choose_no_configuration_twice() -> None:
    shares = [run(plan(FULL, LORA, FEW, trials=12, share=Share(n, 2))) for n in (1, 2)]

    together = [s for share in shares for s in share]
    assert len({(s.arm, s.number) for s in together}) == len(together) == 12 + 12 + 3
    assert len({s.fingerprint for s in together}) == len(together)


@pytest.mark.parametrize("begun", [1, 2, 3, 4, 5])
def test_shares_of_a_finite_space_take_nothing_that_tpe_took_before_them(begun: int) -> None:
    arm = replace(FEW, space=Space(knobs={"rank": Choice(options=(1, 2, 3, 4, 5, 6))}))
    for seed in range(20):
        before = plan(arm, seed=seed)
        first = [ended(before.next() or pytest.fail("too few")) for _ in range(begun)]
        specs = []
        for number in (1, 2):
            part = plan(arm, seed=seed, share=Share(number, 2))
            assert all(part.keep(record) for record in first)
            specs += run(part)

        ranks = [record.values["rank"] for record in first] + [s.values["rank"] for s in specs]
        assert sorted(ranks) == [1, 2, 3, 4, 5, 6]


def test_a_share_learns_what_others_have_ended_meanwhile() -> None:
    others = [ended(s) for s in run(plan(LORA, trials=8, share=Share(2, 2)))]
    told = [[], others[:2], [], others[2:]]
    mine = plan(LORA, trials=8, share=Share(1, 2), news=lambda: told.pop(0) if told else ())

    specs = run(mine)

    assert [s.number for s in specs] == [0, 2, 4, 6]
    known = mine.studies["lora"].trials
    assert len(known) == 8
    assert all(t.state is TrialState.COMPLETE for t in known)
    assert {t.params["learning_rate"] for t in known} == {
        value["learning_rate"] for value in (s.values for s in (*specs, *others))
    }


def test_what_is_told_of_own_trials_is_not_counted_twice() -> None:
    records: list[TrialRecord] = []
    mine = plan(LORA, trials=6, share=Share(1, 2), news=lambda: records)
    specs = []
    while (following := mine.next()) is not None:
        specs.append(following)
        records.append(ended(following))
        mine.finish(records[-1])

    assert [s.number for s in specs] == [0, 2, 4]
    assert len(mine.studies["lora"].trials) == 3
