"""What ``--gpus-per-trial auto`` works out of a measurement, and the measurement itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.cluster.join import cluster
from bench.cluster.nodes import present
from bench.cluster.slots import Slots, slots
from bench.errors import StudyError
from bench.pretrained.shared_weights import Weights
from bench.strategy import Strategy
from bench.study.experiment import Experiment, prepare
from bench.study.file import load_study
from bench.study.run_options import RunOptions
from bench.training.rehearsal import peak_bytes
from bench.tune.gpu_share import MARGIN, SAYS, Need, fraction, heaviest, measure, settle
from strategies.full import Full
from strategies.lora import LoRA
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.trials import make_questions, make_spec, make_workbench, run

GB = 10**9
FOUR_GPUS = {"CPU": 32.0, "GPU": 4.0}


def need(total: int = 24 * GB, context: int = GB // 2, **peaks: int | None) -> Need:
    return Need(
        device="NVIDIA L4",
        total=total,
        context=context,
        peaks=peaks or {"full": 2 * GB},
        refused={},
    )


def whole(*nodes: dict[str, float], workers: int | None = None) -> Slots:
    return slots(RunOptions(gpus_per_trial="auto", workers=workers), list(nodes or (FOUR_GPUS,)))


def test_as_many_share_a_device_as_its_memory_holds_with_a_margin_and_a_process_each() -> None:
    assert need().fits == int(24 / (2 * MARGIN + 0.5)) == 8
    assert need(context=0).fits == 9
    assert need(lora=GB, full=7 * GB).fits == 2


def test_a_trial_that_takes_more_than_a_device_gets_a_whole_one() -> None:
    assert need(full=40 * GB).fits == 1
    assert fraction([need(full=None)], whole(), 100).gpus == 1.0


def test_memory_decides_where_it_is_the_least() -> None:
    found = fraction([need(full=5 * GB)], whole(), 1000)
    assert (found.trials, found.gpus) == (3, 0.3333)
    assert found.reason.startswith(f"{SAYS}: full takes most, 5.0 GB of 24.0 GB on NVIDIA L4")
    assert found.reason.endswith("3 per GPU at a time; what decides: memory")


def test_cores_decide_where_there_are_few() -> None:
    found = fraction([need()], whole({"CPU": 8.0, "GPU": 2.0}, FOUR_GPUS), 1000)
    assert (found.trials, found.gpus) == (4, 0.25)
    assert "cores, 4 per GPU" in found.reason


def test_devices_are_not_shared_while_others_would_stand_idle() -> None:
    assert fraction([need()], whole(), 4).trials == 1
    assert fraction([need()], whole(), 6).trials == 2
    assert fraction([need()], whole(workers=4), 1000).trials == 1


def test_the_smallest_of_several_kinds_of_devices_decides() -> None:
    small = need(total=12 * GB)
    assert fraction([need(), small], whole(), 1000).trials == small.fits == 4


def test_so_many_trials_fit_on_a_device_as_were_chosen() -> None:
    for trials in range(1, 65):
        chosen = fraction([need(total=trials * 3 * GB)], whole({"CPU": 64.0, "GPU": 1.0}), 1000)
        assert chosen.trials == trials
        placed = slots(RunOptions(gpus_per_trial=chosen.gpus), [{"CPU": 64.0, "GPU": 1.0}])
        assert placed.count == trials


def test_auto_is_a_whole_gpu_until_it_is_measured_and_none_where_there_is_none() -> None:
    assert whole().gpus == 1.0
    assert whole({"CPU": 2.0}).gpus == 0.0


@pytest.mark.parametrize("strategy", [Full(), LoRA(rank=8, targets="all_linear")])
def test_what_is_measured_is_about_what_a_trial_takes(strategy: Strategy, tmp_path: Path) -> None:
    spec = make_spec(strategy, batch_size=24)
    bench = make_workbench(train=make_questions(200, seed=1))
    measured = peak_bytes(spec, bench)
    taken = run(spec, make_workbench(train=make_questions(200, seed=1)), tmp_path).record.peak_bytes
    if measured is None or taken is None:
        pytest.skip("this system cannot tell")
    assert 0.7 < measured / taken < 1.7


def test_larger_batches_take_more() -> None:
    bench = make_workbench(train=make_questions(200, seed=1))
    small, large = (peak_bytes(make_spec(Full(), batch_size=size), bench) for size in (4, 48))
    if small is None or large is None:
        pytest.skip("this system cannot tell")
    assert large > 2 * small


@pytest.fixture
def prepared(tmp_path: Path) -> Experiment:
    write_model(tmp_path / "model")
    asked = {
        "model": str(tmp_path / "model"),
        "dataset": str(write_dataset(tmp_path / "data")),
        "strategies": "lora,adapter,linear,prompt",
        "trials": 2,
        "max_length": 32,
    }
    return prepare(load_study(None, asked), tmp_path / "run")


def test_the_configurations_that_are_measured_have_high_numbers_and_every_choice(
    prepared: Experiment,
) -> None:
    arms = {arm.name: arm for arm in prepared.study.arms}
    lora = [spec.strategy.knobs for spec in heaviest(prepared, arms["lora"])]
    assert [(knobs["rank"], knobs["targets"]) for knobs in lora] == [
        (64, targets) for targets in ("query_value", "attention", "all_linear")
    ]
    assert len(heaviest(prepared, arms["linear"])) == 1
    assert {spec.learning_rate for spec in heaviest(prepared, arms["lora"])} == {1e-3}


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_measures_every_arm_and_names_what_takes_most(prepared: Experiment) -> None:
    weights = Weights.of(prepared.source.backbone())
    tokens = prepared.tokens("train"), prepared.tokens("validation")
    with cluster(RunOptions()) as found:
        (told,) = measure(prepared, found, weights, tokens)
        assert settle(prepared, RunOptions(gpus_per_trial="auto"), found, weights, tokens) == (
            found,
            None,
        )
    assert told.refused == {}
    assert set(told.peaks) == {"lora", "adapter", "linear", "prompt"}
    assert told.device
    assert told.total > 10**8
    if None not in told.peaks.values():
        assert max(told.peaks, key=lambda arm: told.peaks[arm] or 0) in told.said()
        assert told.fits > 1


@contextlib.contextmanager
def no_gpu_but_a_promise() -> Iterator[Slots]:
    """A local Ray that was told of a GPU which is not there."""
    import ray  # after bench.tune, which tells it of tokens

    ray.init("local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        yield slots(RunOptions(gpus_per_trial="auto"), present())
    finally:
        ray.shutdown()


@pytest.mark.ray
@pytest.mark.slow
def test_what_cannot_be_measured_is_refused_with_the_way_out(prepared: Experiment) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is something to measure")
    weights = Weights.of(prepared.source.backbone())
    tokens = prepared.tokens("train"), prepared.tokens("validation")
    with no_gpu_but_a_promise() as found, pytest.raises(StudyError, match="say a number"):
        settle(prepared, RunOptions(gpus_per_trial="auto"), found, weights, tokens)
