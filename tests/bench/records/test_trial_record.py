"""Specs and records: what makes two trials the same, and JSON that loses and invents nothing."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.records.spec import TrainSettings, TrialSpec, content_hash
from bench.records.study_record import BudgetSpent, Halving, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from strategies.full import Full
from strategies.lora import LoRA
from tests.helpers.records import broken, study, trial

SPEC = TrialSpec(
    study="demo",
    arm="lora",
    number=3,
    task=MultipleChoice(),
    strategy=LoRA(rank=4),
    learning_rate=1e-3,
    seed=17,
    settings=TrainSettings(),
    data="d" * 16,
    model="sha256:m",
    code="c" * 16,
    context="x" * 16,
)

# A strategy of its own, since ours would import torch.
FINGERPRINT_SCRIPT = """
from dataclasses import dataclass
from bench.records.spec import TrainSettings, TrialSpec
from bench.strategy import Strategy
from bench.data.tasks.multiple_choice import MultipleChoice

@dataclass(frozen=True, kw_only=True)
class Example(Strategy):
    name = "example"
    rank: int = 8
    ratio: float = 0.1
    targets: str = "all"
    merge: bool = True

    def adapt(self, backbone):
        return backbone

print(TrialSpec(
    study="s", arm="a", number=0, task=MultipleChoice(), strategy=Example(), learning_rate=1e-3,
    seed=0, settings=TrainSettings(), data="d", model="m", code="c", context="x",
).fingerprint)
"""

OTHER_SETTINGS: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 8,
    "max_length": 64,
    "pooling": "mean",
    "precision": "bf16",
    "weight_decay": 0.0,
    "warmup_ratio": 0.2,
    "clip_norm": 2.0,
    "micro_batch": "auto",
    "head_dropout": 0.0,
    "gradient_checkpointing": True,
    "compile": True,
}


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": LoRA(rank=8)},
        {"strategy": Full()},
        {"learning_rate": 1.0000001e-3},
        {"seed": 18},
        {"data": "e" * 16},
        {"model": "sha256:n"},
        {"code": "d" * 16},
        {"arm": "lora-small"},
    ],
    ids=lambda change: "-".join(change),
)
def test_whatever_can_change_the_result_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).fingerprint != SPEC.fingerprint


def test_every_training_setting_changes_the_fingerprint() -> None:
    assert OTHER_SETTINGS.keys() == {field.name for field in fields(TrainSettings)}
    changed = {
        replace(SPEC, settings=TrainSettings(**{name: value})).fingerprint
        for name, value in OTHER_SETTINGS.items()
    }
    assert len(changed | {SPEC.fingerprint}) == len(OTHER_SETTINGS) + 1


@pytest.mark.parametrize("label", [{"study": "other"}, {"number": 4}, {"context": "y" * 16}])
def test_a_mere_label_leaves_the_fingerprint_alone(label: dict[str, Any]) -> None:
    assert replace(SPEC, **label).fingerprint == SPEC.fingerprint


def test_a_spec_keeps_its_fingerprint_on_the_way_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(SPEC)).fingerprint == SPEC.fingerprint


def test_every_process_computes_the_same_fingerprint() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", FINGERPRINT_SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "4711")
    ]
    printed = {process.communicate()[0].strip() for process in running}
    assert [len(fingerprint) for fingerprint in printed] == [16]


def test_the_order_of_keys_does_not_change_a_content_hash() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": "1"})


def test_a_number_that_is_none_has_no_content_hash() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash({"learning_rate": float("nan")})


@pytest.mark.parametrize(
    "record",
    [trial(test=250), broken("lora", 1), trial("full", shared=True, peak_bytes=None)],
    ids=["with test", "broken", "shared"],
)
def test_a_trial_comes_back_from_json_as_it_was(record: TrialRecord) -> None:
    assert TrialRecord.model_validate_json(record.model_dump_json()) == record


def test_a_study_comes_back_from_json_as_it_was() -> None:
    record = study(
        spaces={"lora": {"rank": "1 … 64 (log)", "targets": "a | b", "bias": True, "alpha": 0.5}},
        notices=("two questions left out",),
        halving=Halving(reduction_factor=3, grace_epochs=1),
        budget_spent=BudgetSpent(budget="30m", stopped=2),
    )
    again = StudyRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert isinstance(again.settings, TrainSettings)


def test_a_study_from_before_halving_and_budgets_can_be_read() -> None:
    content = json.loads(study().model_dump_json())
    del content["halving"], content["budget_spent"]
    assert StudyRecord.model_validate_json(json.dumps(content)) == study()


def test_knobs_keep_their_kind_in_json() -> None:
    knobs = {"rank": 8, "ratio": 4.0, "merge": True, "targets": "all", "digits": "8"}
    again = TrialRecord.model_validate_json(trial(knobs=knobs).model_dump_json()).knobs
    assert {name: (type(value), value) for name, value in again.items()} == {
        name: (type(value), value) for name, value in knobs.items()
    }


def test_numbers_in_json_are_exact() -> None:
    rate = 0.1 + 0.2
    again = TrialRecord.model_validate_json(trial(learning_rate=rate).model_dump_json())
    assert again.learning_rate == rate


def changed_json(path: str, value: object) -> str:
    """The JSON of a trial with one place changed or added."""
    content = json.loads(trial().model_dump_json())
    *groups, last = path.split(".")
    place = content
    for group in groups:
        place = place[group]
    place[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("colour", "red"),
        ("accuracy.colour", "red"),
        ("inference.single.p99", 1.0),
        ("learning_rate", float("nan")),
        ("accuracy.validation", float("inf")),
        ("knobs.alpha", float("nan")),
        ("status", "splendid"),
        ("number", -1),
        ("schema_version", 2),
    ],
)
def test_unknown_fields_and_impossible_values_are_refused(path: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        TrialRecord.model_validate_json(changed_json(path, value))
    places = [".".join(map(str, fault["loc"])) for fault in caught.value.errors()]
    assert all(place.startswith(path) for place in places)


@pytest.mark.parametrize(("key", "value"), [("colour", "red"), ("clip_norm", float("nan"))])
def test_the_settings_inside_a_study_are_checked_like_the_rest(key: str, value: object) -> None:
    content = json.loads(study().model_dump_json())
    content["settings"][key] = value
    with pytest.raises(ValidationError, match=f"settings.{key}"):
        StudyRecord.model_validate_json(json.dumps(content))


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        trial().seed = 3


def test_the_record_of_a_spec_repeats_what_was_asked() -> None:
    record = TrialRecord.of(SPEC, Status.DIVERGED, reason="the loss became nan at step 0")
    assert (record.trial, record.fingerprint, record.values) == (
        SPEC.trial,
        SPEC.fingerprint,
        SPEC.values,
    )
    assert record.trial == "lora-003"
    assert record.values["rank"] == 4
    assert record.values["learning_rate"] == 1e-3
    assert record.epochs == SPEC.settings.epochs
    assert record.accuracy is None


def test_a_study_holds_the_trials_of_its_context_and_its_budget_only() -> None:
    mine = study(arms=("lora",), planned=2, contexts={"lora": "abcd000011112222"})
    assert mine.holds(trial("lora", 1))
    assert not mine.holds(trial("lora", 2))
    assert not mine.holds(trial("lora", 1, context="ffff000011112222"))
    assert not mine.holds(trial("full", 1))


def test_a_study_holds_trials_that_were_stopped_at_one_of_its_rungs_only() -> None:
    stopped = trial("lora", 1, status=Status.PRUNED)
    accuracy = stopped.accuracy and stopped.accuracy.model_copy(update={"per_epoch": (0.5,)})
    stopped = stopped.model_copy(update={"accuracy": accuracy})
    for rule, held in (
        (Halving(reduction_factor=3, grace_epochs=1), True),
        (Halving(reduction_factor=3, grace_epochs=2), False),
        (None, False),
    ):
        asked = study(arms=("lora",), contexts={"lora": "abcd000011112222"}, halving=rule)
        assert asked.holds(stopped) is held
