from __future__ import annotations

import pytest

from bench.records.events import (
    RECORDS_PER_LINE,
    BudgetOver,
    Died,
    Ended,
    EpochDone,
    Event,
    Frozen,
    Halted,
    Kept,
    Narrowed,
    Noted,
    Opened,
    Scored,
    Started,
    Told,
    TrialOutline,
    from_line,
    short,
    to_line,
)
from bench.records.spec import TrainSettings
from bench.records.study_record import Candidate, Freeze
from bench.records.trial_record import Status
from tests.helpers.records import study, trial

TRIAL = TrialOutline(
    arm="lora",
    name="lora-001",
    fingerprint="f" * 16,
    strategy="lora",
    seed=0,
    settings=TrainSettings(epochs=3),
    values={"rank": 4, "alpha": 1.0, "targets": "all", "learning_rate": 1e-3},
)
RECORD = trial("lora", number=1, right=300, test=290)
FREEZE = Freeze(
    searched="",
    seeds=(1001,),
    candidates=(
        Candidate(fingerprint="f" * 16, arm="lora", number=1, is_best=True, on_front=True),
    ),
)
OPENED = Opened(
    study=study(("full", "lora"), planned=2),
    planned={"full": 2, "lora": 2},
    kept=(RECORD,),
    workers=2,
    seconds=60.0,
)
EVENTS: tuple[Event, ...] = (
    OPENED,
    Started(trial=TRIAL, attempt=2),
    Died(trial=TRIAL),
    EpochDone(trial=TRIAL, epoch=2, validation=0.512),
    Ended(record=RECORD),
    BudgetOver(budget="30m", running=1),
    Halted(trial=TRIAL),
    Frozen(freeze=FREEZE, kept=(RECORD,), workers=1),
    Narrowed(freeze=FREEZE, stopped=("lora-001",)),
    Scored(record=RECORD),
    Kept(records=(RECORD,)),
    Noted(text="something to know"),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_comes_out_of_its_line_as_it_went_in(event: Event) -> None:
    told = Told.now(event)
    line = to_line(told)

    assert "\n" not in line
    assert from_line(line) == told
    assert type(from_line(line).event) is type(event)


def test_tracebacks_stay_where_they_were_raised() -> None:
    failed = RECORD.model_copy(update={"status": Status.FAILED, "traceback": "File secret.py"})
    events = (Ended(record=failed), OPENED.model_copy(update={"kept": (failed,)}))

    for event in (*events, Kept(records=(failed,))):
        assert "secret.py" not in to_line(Told.now(event))


def test_many_records_of_earlier_runs_are_told_in_several_lines() -> None:
    records = tuple(
        trial("lora", number=n, right=300, fingerprint=f"{n:016x}")
        for n in range(2 * RECORDS_PER_LINE + 1)
    )
    first, *rest = short(OPENED.model_copy(update={"kept": records}))

    assert isinstance(first, Opened)
    assert not first.kept
    assert len(rest) == 3
    assert [r for part in rest if isinstance(part, Kept) for r in part.records] == list(records)
    assert list(short(OPENED)) == [OPENED]
