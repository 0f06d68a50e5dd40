"""What ``--gpus-per-trial auto`` works out of a measurement, and the measurement itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.rehearsal import device_memory, peak_bytes
from bench.search.fraction import MARGIN, SAYS, Need, share
from bench.search.slots import Demand, Slots, slots
from bench.strategy import Strategy
from strategies.full import Full
from strategies.linear import Linear
from strategies.lora import LoRA
from tests.trials import make_questions, make_spec, make_workbench, run

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
    return slots(Demand(gpus="auto", workers=workers), list(nodes or (FOUR_GPUS,)))


def test_as_many_share_a_device_as_its_memory_holds_with_a_margin_and_a_process_each() -> None:
    assert need().fits == int(24 / (2 * MARGIN + 0.5)) == 8
    assert need(context=0).fits == 9
    assert need(lora=GB, full=7 * GB).fits == 2


def test_a_trial_that_takes_more_than_a_device_gets_a_whole_one() -> None:
    assert need(full=40 * GB).fits == 1
    assert share([need(full=None)], whole(), 100).gpus == 1.0


def test_memory_decides_where_it_is_the_least() -> None:
    found = share([need(full=5 * GB)], whole(), 1000)
    assert (found.trials, found.gpus) == (3, 0.3333)
    assert found.reason.startswith(f"{SAYS}: full takes most, 5.0 GB of 24.0 GB on NVIDIA L4")
    assert found.reason.endswith("3 per GPU at a time; what decides: memory")


def test_cores_decide_where_there_are_few() -> None:
    found = share([need()], whole({"CPU": 8.0, "GPU": 2.0}, FOUR_GPUS), 1000)
    assert (found.trials, found.gpus) == (4, 0.25)
    assert "cores, 4 per GPU" in found.reason


def test_devices_are_not_shared_while_others_would_stand_idle() -> None:
    assert share([need()], whole(), 4).trials == 1
    assert share([need()], whole(), 6).trials == 2
    assert share([need()], whole(workers=4), 1000).trials == 1


def test_the_smallest_of_several_kinds_of_devices_decides() -> None:
    small = need(total=12 * GB)
    assert share([need(), small], whole(), 1000).trials == small.fits == 4


def test_so_many_trials_fit_on_a_device_as_were_chosen() -> None:
    for trials in range(1, 65):
        chosen = share([need(total=trials * 3 * GB)], whole({"CPU": 64.0, "GPU": 1.0}), 1000)
        assert chosen.trials == trials
        placed = slots(Demand(gpus=chosen.gpus), [{"CPU": 64.0, "GPU": 1.0}])
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


@pytest.mark.gpu
def test_on_an_accelerator_the_driver_is_counted_and_the_peak_is_at_least_a_trial_s(
    tmp_path: Path,
) -> None:
    device = torch.device("cuda")
    bench = make_workbench(device=device, train=make_questions(200, seed=1))
    for strategy in (Full(), LoRA(rank=8), Linear()):
        spec = make_spec(strategy, batch_size=24)
        measured = peak_bytes(spec, bench)
        taken = run(spec, bench, tmp_path).record.peak_bytes
        assert measured is not None
        assert taken is not None
        assert 0.8 * taken < measured < 3 * taken
    total, context = device_memory(device)
    assert 0 < context < total
