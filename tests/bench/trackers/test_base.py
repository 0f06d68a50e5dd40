"""Trials in MLflow, Weights & Biases and TensorBoard, read back from what these have written."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from upath import UPath

from bench.errors import StudyError
from bench.records.events import (
    Ended,
    EpochDone,
    Event,
    Halted,
    Noted,
    Scored,
    Started,
    TrialOutline,
)
from bench.records.spec import TrialSpec
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import Location
from bench.storage.ledger import Ledger
from bench.trackers.base import ENDS, KINDS, End, make_trackers, track
from reports.metrics import COLUMNS
from strategies.lora import LoRA
from tests.helpers.harness import Play
from tests.helpers.records import broken, trial
from tests.helpers.trials import make_spec

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated",  # MLflow's tables
)

TRACKERS = ("mlflow", "tensorboard", "wandb")
BLOCK, HEADER = 32768, 7
"""Of a file of wandb: blocks of records in pieces, each after checksum, length and kind."""


def spec(number: int, **changes: Any) -> TrialSpec:
    return replace(make_spec(LoRA(rank=4), epochs=3), number=number, **changes)


def ended(given: TrialSpec, record: TrialRecord) -> TrialRecord:
    labels = {"arm": given.arm, "number": given.number, "fingerprint": given.fingerprint}
    return record.model_copy(update={**labels, "seed": given.seed, "confirms": given.confirms})


GOOD, PRUNED, BAD, OLD, STOPPED = (spec(number, seed=number) for number in range(5))
FRESH = spec(0, seed=1001, confirms=GOOD.fingerprint)
GOOD_END = ended(GOOD, trial("lora", right=300, test=290))
PRUNED_END = ended(PRUNED, trial("lora", status=Status.PRUNED, reason="place 3 of 4"))
BAD_END = ended(BAD, broken("lora", 2, Status.DIVERGED, "the loss became nan at step 1"))
FRESH_END = ended(FRESH, trial("lora", right=280, test=270))
EVENTS: tuple[Event, ...] = (
    Started(trial=TrialOutline.of(GOOD), attempt=1),
    EpochDone(trial=TrialOutline.of(GOOD), epoch=1, validation=0.3),
    Started(trial=TrialOutline.of(GOOD), attempt=2),
    EpochDone(trial=TrialOutline.of(GOOD), epoch=1, validation=0.3),
    EpochDone(trial=TrialOutline.of(GOOD), epoch=2, validation=0.6),
    Started(trial=TrialOutline.of(PRUNED), attempt=1),
    Ended(record=GOOD_END.model_copy(update={"test": None})),
    Ended(record=PRUNED_END),
    Started(trial=TrialOutline.of(BAD), attempt=1),
    Ended(record=BAD_END),
    Ended(record=ended(OLD, trial("lora"))),  # was in the ledger: never started
    Started(trial=TrialOutline.of(STOPPED), attempt=1),
    Halted(trial=TrialOutline.of(STOPPED)),
    Started(trial=TrialOutline.of(FRESH), attempt=1),
    Ended(record=FRESH_END.model_copy(update={"test": None})),
    Scored(record=FRESH_END),
)
NAMES = {"lora-000", "lora-001", "lora-002", "lora-004", "lora-000-seed1001"}


def follow(folder: Location, *events: Event, names: tuple[str, ...] = TRACKERS) -> list[str]:
    """What is told of trackers that see these events."""
    told: list[Event] = []
    with track(names, "study", folder, told.append) as observe:
        for event in events:
            observe(event)
    assert [event for event in told if not isinstance(event, Noted)] == list(events)
    return [event.text for event in told if isinstance(event, Noted)]


@pytest.fixture(autouse=True)
def _offline() -> Iterator[None]:
    """No address or key of this machine, and the switches that a sweep sets."""
    from bench.cluster.join import ENVIRONMENT

    kept = {n: v for n, v in os.environ.items() if not n.startswith(("MLFLOW_", "WANDB_"))}
    more = {**ENVIRONMENT, "NETRC": "/nowhere", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with mock.patch.dict(os.environ, {**kept, **more}, clear=True):
        yield


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose trackers have seen the events, by two commands on it."""
    folder = tmp_path_factory.mktemp("tracked")
    with mock.patch.dict(os.environ, {"NETRC": "/nowhere"}):
        told = follow(folder, *EVENTS)
        assert sorted(line.split(":")[0] for line in told) == [
            f"tracked by {name}" for name in TRACKERS
        ]
        follow(folder, Ended(record=GOOD_END), Scored(record=GOOD_END))
    return folder


def mlflow_runs(folder: Path, name: str = "study") -> dict[str, Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {str(run.info.run_name): (client, run) for run in runs}


def scalars(folder: Path, name: str) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard" / name)).Reload()
    return {
        tag.removeprefix("ray/tune/"): [(e.step, round(e.value, 4)) for e in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def wandb_records(folder: Path) -> dict[str, list[Any]]:
    """Records by trial; a run that was opened again has several files."""
    found: dict[str, list[Any]] = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        records = wandb_file(path)
        name = next(r.run.display_name for r in records if r.WhichOneof("record_type") == "run")
        found.setdefault(name, []).extend(records)
    return found


def wandb_file(path: Path) -> list[Any]:
    from wandb.proto import wandb_internal_pb2 as wire

    raw, place, part, found = path.read_bytes(), HEADER, b"", []
    while place + HEADER <= len(raw):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", raw, place)
        part += raw[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last piece
            found.append(wire.Record.FromString(part))  # type: ignore[attr-defined]
            part = b""
    return found


def wandb_run(records: list[Any]) -> tuple[dict[str, Any], dict[str, Any], list[int]]:
    """Parameters, the last figures, exit codes."""
    config: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    codes = []
    for record in records:
        match record.WhichOneof("record_type"):
            case "run" | "config" as kind:
                update = getattr(record, kind)
                update = update.config.update if kind == "run" else update.update
                config |= {one.key: json.loads(one.value_json) for one in update}
            case "history":
                items = {
                    one.nested_key[-1]: json.loads(one.value_json) for one in record.history.item
                }
                figures |= items
            case "exit":
                codes.append(record.exit.exit_code)
    return config, figures, codes


def test_names_are_checked_together_and_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert make_trackers(["wandb,mlflow", "wandb"]) == ("wandb", "mlflow")

    missing = replace(KINDS["wandb"], packages=("no-such-distribution",))
    monkeypatch.setitem(KINDS, "wandb", missing)
    with pytest.raises(StudyError) as refused:
        make_trackers(["comet,wandb"])

    assert refused.value.problems == (
        "--track comet: is no tracker; trackers are mlflow, tensorboard, wandb",
        "--track wandb: its package is not installed; run: pip install 'paretune[wandb]'",
    )


def test_every_status_has_an_end() -> None:
    ends = {status: ENDS.get(status, End.FAILED) for status in Status}

    assert {status for status, end in ends.items() if end is End.FINISHED} == {Status.COMPLETED}
    assert {s for s, end in ends.items() if end is End.KILLED} == {Status.PRUNED, Status.SKIPPED}


def test_a_run_folder_elsewhere_leaves_the_files_of_trackers_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    told = follow(UPath("memory://bucket/run"), names=("tensorboard",))

    assert told == [f"tracked by tensorboard: {tmp_path / 'runs' / 'study' / 'tensorboard'}"]


@pytest.mark.slow
def test_mlflow_has_a_run_per_trial_with_parameters_figures_and_state(seen: Path) -> None:
    runs = mlflow_runs(seen)

    assert runs.keys() == NAMES
    states = {name: run.info.status for name, (_, run) in runs.items()}
    assert states == {
        "lora-000": "FINISHED",
        "lora-001": "KILLED",
        "lora-002": "FAILED",
        "lora-004": "KILLED",
        "lora-000-seed1001": "FINISHED",
    }
    client, run = runs["lora-000"]
    wanted = {"arm": "lora", "strategy": "lora", "rank": "4", "seed": "0", "learning_rate": "0.01"}
    assert wanted.items() <= run.data.params.items()
    assert {"epochs", "batch_size", "max_length", "fingerprint"} <= run.data.params.keys()
    assert run.data.tags["status"] == "completed"
    assert run.data.metrics["validation_accuracy"] == 0.6
    assert run.data.metrics["inference_ms_p50"] == 4.2
    assert run.data.metrics["train_seconds"] == 197.5
    assert run.data.metrics["test_accuracy"] == 0.58  # told by the second command
    history = client.get_metric_history(run.info.run_id, "epoch_validation_accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.3), (2, 0.6), (3, 0.6)]
    assert runs["lora-002"][1].data.tags["reason"] == "the loss became nan at step 1"


@pytest.mark.slow
def test_tensorboard_has_a_folder_per_trial_with_the_figures(seen: Path) -> None:
    assert {path.name for path in (seen / "tensorboard").iterdir()} == NAMES

    found = scalars(seen, "lora-000-seed1001")
    assert found["epoch_validation_accuracy"] == [(1, 0.28), (2, 0.56), (3, 0.56)]
    assert found["validation_accuracy"] == [(3, 0.56)]
    assert found["test_accuracy"] == [(3, 0.54)]
    assert found["trained_parameters"] == [(3, FRESH_END.parameters.trained)]  # type: ignore[union-attr]


@pytest.mark.slow
def test_wandb_has_a_run_per_trial_without_a_key_or_a_name_of_the_machine(seen: Path) -> None:
    found = wandb_records(seen)
    assert found.keys() == NAMES

    config, figures, codes = wandb_run(found["lora-000-seed1001"])
    assert {"arm": "lora", "rank": 4, "seed": 1001, "status": "completed"}.items() <= config.items()
    assert figures["validation_accuracy"] == 0.56
    assert figures["test_accuracy"] == 0.54
    assert codes == [0, 0]  # opened again for the test
    config, _, codes = wandb_run(found["lora-002"])
    assert (config["status"], codes) == ("diverged", [1])
    runs = [r.run for r in found["lora-000"] if r.WhichOneof("record_type") == "run"]
    assert {(run.host, run.run_group, run.project) for run in runs} == {("", "study", "paretune")}


@pytest.mark.slow
def test_a_tracker_that_fails_is_told_once_without_secrets_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:canary1234@127.0.0.1:9")
    (tmp_path / "wandb").write_text("no folder", encoding="utf-8")

    told = follow(tmp_path, *EVENTS)

    failed = [line for line in told if "has failed" in line]
    assert sorted(line.split()[0] for line in failed) == ["mlflow", "wandb"]
    assert not any("canary1234" in line for line in told)
    assert scalars(tmp_path, "lora-000")["validation_accuracy"] == [(3, 0.6)]


@pytest.mark.slow
def test_a_trial_that_a_killed_command_left_open_goes_on_as_the_same_run(tmp_path: Path) -> None:
    names = ("mlflow",)
    follow(tmp_path, Started(trial=TrialOutline.of(GOOD), attempt=1), names=names)
    assert mlflow_runs(tmp_path)["lora-000"][1].info.status == "KILLED"

    follow(
        tmp_path,
        Started(trial=TrialOutline.of(GOOD), attempt=1),
        Ended(record=GOOD_END),
        names=names,
    )

    _, run = mlflow_runs(tmp_path)["lora-000"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["validation_accuracy"] == 0.6


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_shows_in_all_trackers_what_its_ledger_holds(tmp_path: Path) -> None:
    """Also after the same command again, which has nothing left to run."""
    play = Play(tmp_path, {"sound": "none", "broken": "raises"}, confirm=2, epochs=2)
    options = ("--track", "mlflow,tensorboard", "--track", "wandb")
    done = play.sweep(*options, NETRC="/nowhere")
    assert done.returncode == 1, done.stderr  # one arm is broken
    again = play.sweep(*options, NETRC="/nowhere")
    assert again.returncode == 1, again.stderr

    records = Ledger(play.run).records().readable.values()
    names = {record.trial for record in records}
    assert names == {"sound-000", "broken-000", "sound-000-seed1001", "sound-000-seed1002"}
    runs, waited = mlflow_runs(play.run, "play"), wandb_records(play.run)
    assert runs.keys() == waited.keys() == names
    assert {path.name for path in (play.run / "tensorboard").iterdir()} == names
    for record in records:
        name = record.trial
        _, figures, _ = wandb_run(waited[name])
        logged, drawn = runs[name][1].data.metrics, scalars(play.run, name)
        for metric in COLUMNS.values():
            value = metric.read(record)
            assert logged.get(metric.name) == figures.get(metric.name) == value, metric.name
            if value is not None:
                assert drawn[metric.name][-1][1] == pytest.approx(value, rel=1e-4, abs=1e-4)
    assert runs["broken-000"][1].info.status == "FAILED"
