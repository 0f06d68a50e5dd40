from __future__ import annotations

import math
import os
import random
import sqlite3
from pathlib import Path
from unittest import mock

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from bench.errors import InputError, StorageError
from bench.records.study_record import Halving, Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from bench.tune.optuna_export import export_studies
from bench.tune.report import FEWEST_TRIALS, importances
from tests.helpers.records import broken, study, trial
from tests.helpers.simulate import simulated_run

CONTEXT = "abcd000011112222"
TARGETS = ("all_linear", "attention", "query_value")


def asked(planned: int = 40) -> StudyRecord:
    return study(
        ("lora", "full"),
        planned=planned,
        halving=Halving(reduction_factor=2, grace_epochs=1),
        contexts=dict.fromkeys(("lora", "full"), CONTEXT),
        spaces={
            "lora": {
                "learning_rate": "0.0001 … 0.005 (log)",
                "rank": "1 … 64 (log)",
                "targets": " | ".join(TARGETS),
                "dropout": "0.1",
            },
            "full": {"learning_rate": "1e-05 … 0.001 (log)"},
        },
    )


def drawn(count: int, decisive: str, seed: int = 0) -> list[TrialRecord]:
    """Random trials of LoRA whose accuracy one knob decides, but for a point of noise."""
    generator = random.Random(seed)
    found = []
    for number in range(count):
        rate = math.exp(generator.uniform(math.log(1e-4), math.log(5e-3)))
        rank, targets = generator.randint(1, 64), generator.choice(TARGETS)
        shares = {
            "learning_rate": math.log(rate / 1e-4) / math.log(50),
            "rank": math.log(rank) / math.log(64),
            "targets": TARGETS.index(targets) / 2,
            "nothing": 0.5,
        }
        right = round(200 + 100 * shares[decisive] + generator.gauss(0, 5))
        knobs = {"rank": rank, "targets": targets, "dropout": 0.1}
        found.append(trial("lora", number, right=right, knobs=knobs, learning_rate=rate))
    return found


@pytest.fixture(scope="module")
def run() -> Run:
    simulated = simulated_run({"lora": 0.64, "full": 0.66}, trials=3)
    records = [*simulated.searched, *simulated.confirmed]
    accuracy = records[1].accuracy
    assert accuracy is not None
    records[1] = records[1].model_copy(
        update={
            "status": Status.PRUNED,
            "reason": "place 5 of 6",
            "accuracy": accuracy.model_copy(update={"per_epoch": accuracy.per_epoch[:1]}),
        }
    )
    records += [broken("lora", 3, reason="OSError: /home/someone/weights is gone")]
    return Run.of(asked(4), records, simulated.freeze)


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("export") / "optuna.db"
    export_studies(run, path)
    return f"sqlite:///{path}"


def test_optuna_reads_every_trial_back_with_its_state_and_both_objectives(
    run: Run, exported: str
) -> None:
    assert optuna.get_all_study_names(exported) == ["lora", "full"]
    lora = optuna.load_study(study_name="lora", storage=exported)

    assert [d.name for d in lora.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert lora.metric_names == ["validation accuracy", "trained parameters"]
    assert [trial.state for trial in lora.trials] == [
        TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL,
    ]  # fmt: skip
    records = [record for record in run.searched if record.arm == "lora"]
    for exported_trial, record in zip(lora.trials, records, strict=True):
        assert exported_trial.user_attrs["trial"] == record.trial
        assert exported_trial.params["learning_rate"] == record.learning_rate
        if exported_trial.state is TrialState.COMPLETE:
            assert record.accuracy is not None
            assert exported_trial.values == [record.accuracy.validation, 74_113.0]


def test_knobs_have_the_ranges_that_were_searched_and_fixed_ones_are_no_parameters(
    tmp_path: Path,
) -> None:
    path = tmp_path / "optuna.db"
    export_studies(Run.of(asked(), drawn(12, "rank"), None), path)
    lora = optuna.load_study(study_name="lora", storage=f"sqlite:///{path}")

    assert lora.trials[0].distributions == {
        "learning_rate": FloatDistribution(1e-4, 5e-3, log=True),
        "rank": IntDistribution(1, 64, log=True),
        "targets": CategoricalDistribution(TARGETS),
    }
    assert optuna.load_study(study_name="full", storage=f"sqlite:///{path}").trials == []


def test_a_confirmed_trial_carries_its_test_scores_seed_by_seed(run: Run, exported: str) -> None:
    chosen, other, *_ = optuna.load_study(study_name="lora", storage=exported).trials
    mine = [record for record in run.confirmed if record.arm == "lora"]
    scores = {str(r.seed): r.test.accuracy for r in mine if r.test}

    assert len(scores) == 5
    assert chosen.user_attrs["confirmed_test_accuracy"] == scores
    mean = chosen.user_attrs["confirmed_test_accuracy_mean"]
    assert mean == pytest.approx(sum(scores.values()) / 5)
    assert chosen.user_attrs["train_seconds"] == 197.5
    assert "confirmed_test_accuracy" not in other.user_attrs


def test_reasons_are_kept_without_folders_of_the_machine(exported: str) -> None:
    trials = optuna.load_study(study_name="lora", storage=exported).trials

    assert trials[1].user_attrs["reason"] == "place 5 of 6"
    assert "/home" not in trials[3].user_attrs["reason"]
    assert "is gone" in trials[3].user_attrs["reason"]


def test_the_file_is_whole_or_not_there_and_an_older_one_is_replaced(tmp_path: Path) -> None:
    run = Run.of(asked(), drawn(1, "rank"), None)
    path = tmp_path / "new" / "optuna.db"
    full = mock.patch.object(os, "fsync", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(StorageError, match="No space left"):
        export_studies(run, path)
    assert list(path.parent.iterdir()) == []

    export_studies(run, path)
    export_studies(run, path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from studies").fetchone() == (2,)
    connection.close()
    assert list(path.parent.iterdir()) == [path]


def test_another_kind_of_file_is_not_replaced(run: Run, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("keep me")

    with pytest.raises(InputError, match="is no SQLite file"):
        export_studies(run, thesis)
    with pytest.raises(InputError, match="is a folder"):
        export_studies(run, tmp_path)
    assert thesis.read_text() == "keep me"


@pytest.mark.parametrize("decisive", ["learning_rate", "rank", "targets"])
def test_the_knob_that_decides_is_the_most_important_one(decisive: str) -> None:
    found = importances(Run.of(asked(), drawn(40, decisive), None))["lora"]

    assert next(iter(found)) == decisive
    assert found[decisive] > 0.5
    assert sum(found.values()) == pytest.approx(1.0)
    assert set(found) == {"learning_rate", "rank", "targets"}


def test_importances_are_the_same_every_time_and_in_any_order() -> None:
    records = drawn(20, "rank")
    found = [importances(Run.of(asked(), order, None)) for order in (records, records[::-1])]

    assert found[0] == found[1]
    assert list(found[0]["lora"]) == list(found[1]["lora"])


def test_nothing_is_said_of_arms_that_tell_too_little() -> None:
    few = drawn(FEWEST_TRIALS - 1, "rank")
    failed = [broken("lora", number) for number in range(FEWEST_TRIALS - 1, 20)]
    equal = [r.model_copy(update={"accuracy": few[0].accuracy}) for r in drawn(20, "rank")]
    one_knob = [trial("full", n, right=200 + n, learning_rate=1e-5 * (n + 1)) for n in range(20)]

    for records in (few, [*few, *failed], equal, one_knob, []):
        assert importances(Run.of(asked(), records, None)) == {}
    assert importances(Run.of(asked(), drawn(FEWEST_TRIALS, "rank"), None)).keys() == {"lora"}
