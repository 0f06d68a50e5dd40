from __future__ import annotations

import io

from rich.console import Console

from bench.cli.live_view import Scene, View, watch
from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.events import (
    BudgetOver,
    Ended,
    EpochDone,
    Frozen,
    Halted,
    Narrowed,
    Opened,
    Scored,
    Started,
    TrialOutline,
)
from bench.records.spec import TrainSettings, TrialSpec
from bench.records.study_record import Candidate, Freeze
from bench.records.trial_record import Status
from strategies.lora import LoRA
from tests.helpers.records import study, trial

SPEC = TrialSpec(
    study="demo",
    arm="lora",
    number=1,
    task=MultipleChoice(),
    strategy=LoRA(rank=4),
    learning_rate=1e-3,
    seed=0,
    settings=TrainSettings(epochs=3),
    data="",
    model="",
    code="",
    context="",
)
TRIAL = TrialOutline.of(SPEC)
DONE = trial("lora", number=1, right=300, test=290, fingerprint=SPEC.fingerprint)
EVENTS = (
    Opened(
        study=study(("full", "lora"), planned=2),
        planned={"full": 2, "lora": 2},
        kept=(),
        workers=2,
    ),
    Started(trial=TRIAL, attempt=1),
    EpochDone(trial=TRIAL, epoch=2, validation=0.512),
)


def drawn(scene: Scene) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(View(scene))
    return console.export_text()


def test_the_live_view_shows_progress_running_trials_and_the_leaderboard_so_far() -> None:
    scene = Scene()
    assert "preparing" in drawn(scene)
    for event in EVENTS:
        scene.take(event)

    running = drawn(scene)
    assert "0/4 trials" in running
    assert "lora-001" in running
    assert "epoch 2/3" in running
    assert "validation accuracy 0.512" in running

    scene.take(Ended(record=DONE))
    ended = drawn(scene)
    assert "1/4 trials" in ended
    assert "left" in ended
    assert "lora-001" not in ended
    assert "0.600" in ended


def test_lines_tell_the_same_where_there_is_no_terminal() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=console) as observe:
        for event in (*EVENTS, Ended(record=DONE), Scored(record=DONE)):
            observe(event)

    lines = [line.split(" ", 1)[1] for line in console.export_text().splitlines()]
    assert lines[0] == "4 trials planned; 2 at a time"
    assert lines[1].startswith("lora-001 started: rank=4")
    assert lines[2] == "lora-001 epoch 2/3 validation accuracy 0.512"
    assert lines[3].startswith("lora-001 completed: validation accuracy 0.600 [1/4 done")
    assert lines[4] == "lora-001 test accuracy 0.580"


def test_lines_name_the_metric_that_is_searched() -> None:
    opened = EVENTS[0]
    assert isinstance(opened, Opened)
    asked = opened.study.model_copy(update={"objective": "macro_f1"})
    assert DONE.test is not None
    test = DONE.test.model_copy(update={"scores": {"accuracy": 0.58, "macro_f1": 0.314}})
    console = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=console) as observe:
        observe(opened.model_copy(update={"study": asked}))
        for event in (*EVENTS[1:], Scored(record=DONE.model_copy(update={"test": test}))):
            observe(event)

    lines = [line.split(" ", 1)[1] for line in console.export_text().splitlines()]
    assert lines[2:] == [
        "lora-001 epoch 2/3 validation macro-F1 0.512",
        "lora-001 test macro-F1 0.314",
    ]


def test_a_second_attempt_is_told() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=console) as observe:
        observe(EVENTS[0])
        observe(Started(trial=TRIAL, attempt=2))

    assert "lora-001 started (attempt 2)" in console.export_text()


PRUNED = DONE.model_copy(update={"status": Status.PRUNED, "reason": "place 5 of 6", "test": None})


def test_a_trial_stopped_early_is_shown_and_counts_for_the_time_that_is_left() -> None:
    scene = Scene()
    for event in (*EVENTS, Ended(record=PRUNED)):
        scene.take(event)

    shown = drawn(scene)
    assert "1 stopped early" in shown
    assert "1/4 trials" in shown
    assert "left" in shown
    assert scene.spent["lora"]


def test_what_is_left_is_no_more_than_the_time_budget() -> None:
    scene = Scene()
    scene.take(EVENTS[0].model_copy(update={"seconds": 100.0}))

    assert scene.eta is not None
    assert 99 < scene.eta <= 100


def test_a_spent_budget_is_shown_and_halted_trials_are_gone() -> None:
    scene = Scene()
    for event in (*EVENTS, BudgetOver(budget="30m", running=1)):
        scene.take(event)
    assert "budget of 30m spent" in drawn(scene)
    assert "left" not in drawn(scene)

    scene.take(Halted(trial=TRIAL))
    assert "lora-001" not in drawn(scene)


def test_lines_tell_of_stopped_trials_and_budgets() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=console) as observe:
        for event in (*EVENTS, BudgetOver(budget="30m", running=1), Halted(trial=TRIAL)):
            observe(event)
        observe(Ended(record=PRUNED))

    lines = [line.split(" ", 1)[1] for line in console.export_text().splitlines()]
    assert lines[3].startswith("budget of 30m spent: trials at work stop after their epoch")
    assert lines[4] == "lora-001 stopped without a record"
    assert lines[5].startswith("lora-001 pruned: validation accuracy 0.600, place 5 of 6 [1/4 done")


CHOSEN = DONE.model_copy(update={"test": None})
AGAIN = CHOSEN.model_copy(
    update={"fingerprint": "f" * 16, "confirms": DONE.fingerprint, "seed": 1001}
)
FREEZE = Freeze(
    searched="",
    seeds=(1001, 1002),
    candidates=(
        Candidate(fingerprint=DONE.fingerprint, arm="lora", number=1, is_best=True, on_front=True),
    ),
)
FROZEN = Frozen(freeze=FREEZE, kept=(), workers=1)


def test_after_the_freeze_the_view_counts_trials_with_fresh_seeds() -> None:
    scene = Scene()
    for event in (*EVENTS, Ended(record=CHOSEN), FROZEN, Ended(record=AGAIN)):
        scene.take(event)

    assert "1/2 trials with fresh seeds" in drawn(scene)
    assert scene.run is not None
    assert [record.seed for record in scene.run.confirmed] == [1001]
    assert [record.trial for record in scene.run.searched] == ["lora-001"]


def test_lines_tell_what_was_frozen() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=console) as observe:
        for event in (EVENTS[0], FROZEN, Ended(record=AGAIN)):
            observe(event)

    lines = [line.split(" ", 1)[1] for line in console.export_text().splitlines()]
    assert lines[1] == (
        "frozen: 1 configurations, 2 fresh seeds each; 1 at a time, each with a device to itself"
    )
    assert lines[2].startswith("lora-001-seed1001 completed: validation accuracy 0.600 [1/2 done")


def test_what_was_stopped_is_told_and_no_longer_waited_for() -> None:
    (one,) = FREEZE.candidates
    narrowed = FREEZE.model_copy(
        update={"candidates": (one.model_copy(update={"stopped": "out of reach"}),)}
    )
    scene = Scene()
    console = Console(width=200, file=io.StringIO(), record=True)
    with watch(live=False, console=console) as observe:
        for event in (
            EVENTS[0],
            Ended(record=CHOSEN),
            FROZEN,
            Ended(record=AGAIN),
            Narrowed(freeze=narrowed, stopped=("lora-001",)),
        ):
            scene.take(event)
            observe(event)

    assert "1/1 trials with fresh seeds" in drawn(scene)
    told = console.export_text().splitlines()[-1]
    assert told.endswith("stopped, as the front is out of reach: lora-001")


def test_a_score_that_could_not_be_renewed_is_told_by_its_reason() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    stale = DONE.model_copy(update={"reason": "could not be scored on test: no checkpoint"})
    with watch(live=False, console=console) as observe:
        for event in (EVENTS[0], Scored(record=stale)):
            observe(event)

    assert "lora-001 could not be scored on test: no checkpoint" in console.export_text()
