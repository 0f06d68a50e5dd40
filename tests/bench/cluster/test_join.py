from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cluster.join import cluster
from bench.cluster.nodes import NO_LIMITS, Node, limits_here, limits_of
from bench.cluster.slots import LOOK_SECONDS, Capacity, slots
from bench.errors import ClusterError, StudyError
from bench.study.run_options import RunOptions

TWO_CORES = {"CPU": 2.0, "memory": 1e9}
GPU_NODE = {"CPU": 16.0, "GPU": 2.0}
AUTOSCALED: dict[str, Any] = {
    "max_workers": 3,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}},
        "cores": {"resources": {"CPU": 32}, "max_workers": 1},
        "gpus": {"resources": {"CPU": 8, "GPU": 1}, "min_workers": 0, "max_workers": 2},
        "unknown": {"resources": {}},
    },
}
"""A cluster file as Ray has filled it in."""


def test_without_a_gpu_every_core_runs_a_trial() -> None:
    found = slots(RunOptions(), [TWO_CORES])

    assert (found.cpus, found.gpus, found.count) == (1.0, 0.0, 2)
    assert found.device_shared
    assert found.resources == {"CPU": 1.0}


def test_with_gpus_every_gpu_runs_a_trial_and_nodes_without_are_left_alone() -> None:
    found = slots(RunOptions(), [TWO_CORES, GPU_NODE])

    assert (found.gpus, found.count, found.device_shared) == (1.0, 2, False)
    assert found.resources == {"CPU": 1.0, "GPU": 1.0}


def test_a_fraction_of_a_gpu_lets_trials_share_it() -> None:
    found = slots(RunOptions(gpus_per_trial=0.5), [GPU_NODE])

    assert (found.count, found.device_shared) == (4, True)


def test_cores_may_be_the_limit_beside_gpus() -> None:
    assert slots(RunOptions(cpus_per_trial=10, gpus_per_trial=1), [GPU_NODE]).count == 1


def test_one_trial_on_all_cores_has_the_device_to_itself() -> None:
    assert not slots(RunOptions(cpus_per_trial=2), [TWO_CORES]).device_shared


def test_fewer_trials_at_a_time_can_be_asked_for_and_more_than_fit_cannot() -> None:
    assert slots(RunOptions(workers=1), [TWO_CORES]).count == 1
    assert not slots(RunOptions(workers=1), [TWO_CORES]).device_shared
    assert slots(RunOptions(workers=9), [TWO_CORES]).count == 2


def test_three_tenths_of_a_core_fit_ten_times_into_three() -> None:
    assert slots(RunOptions(cpus_per_trial=0.3), [{"CPU": 3.0}]).count == 10


def test_more_than_any_node_has_is_refused_with_both_numbers() -> None:
    with pytest.raises(StudyError, match=r"1 CPUs and 4 GPUs.* 2 CPUs and 0 GPUs"):
        slots(RunOptions(gpus_per_trial=4), [TWO_CORES])


def test_what_only_two_nodes_together_have_is_refused() -> None:
    with pytest.raises(StudyError, match="largest node has 2 CPUs"):
        slots(RunOptions(cpus_per_trial=3), [TWO_CORES, TWO_CORES])


def test_the_ray_client_is_refused_with_the_way_out() -> None:
    with (
        pytest.raises(ClusterError, match="--address auto"),
        cluster(RunOptions(address="ray://head:10001")),
    ):
        pass


def test_a_trial_may_use_its_share_of_the_memory_of_the_smallest_node() -> None:
    small, large = {"CPU": 2.0, "memory": 8e9}, {"CPU": 8.0, "memory": 64e9}
    assert slots(RunOptions(), [small, large]).memory == 4_000_000_000
    assert slots(RunOptions(workers=1), [small]).memory == 8_000_000_000
    assert slots(RunOptions(cpus_per_trial=4), [small, large]).memory == 32_000_000_000
    assert slots(RunOptions(), [{"CPU": 2.0}]).memory is None


def test_alone_a_trial_has_whole_gpus_or_all_cores_of_its_machine() -> None:
    shared = slots(RunOptions(gpus_per_trial=0.5), [TWO_CORES, GPU_NODE]).alone
    assert (shared.gpus, shared.cpus, shared.count) == (1.0, 1.0, 2)
    assert not shared.device_shared

    machine = slots(RunOptions(), [TWO_CORES]).alone
    assert (machine.gpus, machine.cpus, machine.count) == (0.0, 2.0, 1)
    assert machine.memory == 1_000_000_000


@pytest.mark.parametrize(
    ("cores", "cpus", "count"),
    [((2, 8), 8, 1), ((6, 8, 8), 6, 3), ((4, 8, 8), 8, 2), ((3, 3), 3, 2)],
)
def test_alone_no_machine_runs_two_trials(cores: tuple[int, ...], cpus: int, count: int) -> None:
    alone = slots(RunOptions(), [{"CPU": float(number)} for number in cores]).alone
    assert (alone.cpus, alone.count) == (cpus, count)


def test_machines_that_may_come_count_as_if_they_were_there() -> None:
    head = {"CPU": 0.0, "memory": 8e9}
    limits = limits_of(AUTOSCALED)
    assert len(limits.arrivals([])) == 3
    found = slots(RunOptions(), [head, *limits.arrivals([])])
    assert (found.gpus, found.count, found.resources) == (1.0, 2, {"CPU": 1.0, "GPU": 1.0})
    with pytest.raises(StudyError, match=r"1 CPUs and 2 GPUs.* 32 CPUs and 1 GPUs"):
        slots(RunOptions(gpus_per_trial=2), [head, *limits.arrivals([])])


def test_machines_that_are_there_are_not_reckoned_with_twice() -> None:
    limits = limits_of(AUTOSCALED)
    gpu, cores = {"CPU": 8.0, "GPU": 1.0, "node:10.0.0.7": 1.0}, {"CPU": 32.0}
    assert [_kind(node) for node in limits.arrivals([gpu])] == ["GPU", "CPU"]
    assert [_kind(node) for node in limits.arrivals([gpu, gpu])] == ["CPU"]
    assert limits.arrivals([gpu, gpu, cores]) == []
    assert limits.arrivals([TWO_CORES] * 3) == []


def test_where_not_all_may_come_the_ones_with_gpus_count() -> None:
    limits = limits_of({**AUTOSCALED, "max_workers": 1})
    assert [_kind(node) for node in limits.arrivals([])] == ["GPU"]


def test_an_autoscaler_s_file_is_found_by_the_port_of_its_cluster(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(AUTOSCALED, sort_keys=False), encoding="utf-8")
    monitor = tmp_path / "monitor.py"
    monitor.write_text("input()", encoding="utf-8")
    options = ["--gcs-address=10.0.0.1:16379", f"--autoscaling-config={path}"]
    with subprocess.Popen([sys.executable, monitor, *options], stdin=subprocess.PIPE) as process:
        assert limits_here(16379) == limits_of(AUTOSCALED)
        assert limits_here(16380) == NO_LIMITS
        path.write_text("[", encoding="utf-8")
        assert limits_here(16379) == NO_LIMITS
        process.communicate(b"\n")


def _kind(node: Node) -> str:
    return "GPU" if "GPU" in node else "CPU"


def follow(first: list[Node], **demand: Any) -> tuple[Capacity, list[Node], Callable[[], None]]:
    """A capacity on a joined cluster, the nodes that it sees, and a step of its clock."""
    nodes, seconds = list(first), [0.0]
    found = replace(slots(RunOptions(**demand), first), look=lambda: nodes)

    def later() -> None:
        seconds[0] += LOOK_SECONDS

    return Capacity(found, lambda: seconds[0]), nodes, later


def test_a_node_that_is_added_raises_the_trials_at_a_time_and_one_that_is_lost_lowers_them() -> (
    None
):
    capacity, nodes, later = follow([TWO_CORES])
    assert capacity.count == 2
    nodes.append(TWO_CORES)
    assert capacity.count == 2, "it is not asked at every turn"
    later()
    assert capacity.count == 4
    nodes.clear()
    later()
    assert capacity.count == 1, "one trial waits for a node"


def test_what_was_asked_for_at_most_stays_the_most() -> None:
    capacity, nodes, later = follow([TWO_CORES], workers=3)
    nodes += [TWO_CORES] * 4
    later()
    assert capacity.count == 3


def test_a_local_ray_is_never_asked_again() -> None:
    found = slots(RunOptions(), [TWO_CORES])
    assert found.most == found.count == 2
    assert Capacity(found).count == 2


def test_trials_with_a_machine_to_themselves_take_one_of_a_larger_machine_that_is_added() -> None:
    alone = replace(slots(RunOptions(), [TWO_CORES]), look=list).alone
    assert alone.count_on([TWO_CORES, {"CPU": 16.0}]) == 2


def test_alone_trials_run_on_the_kind_of_accelerator_that_runs_most_of_them() -> None:
    small = {"CPU": 8.0, "GPU": 1.0, "accelerator_type:T4": 1.0}
    large = {"CPU": 32.0, "GPU": 4.0, "accelerator_type:A100": 1.0}
    mixed = slots(RunOptions(gpus_per_trial=0.5), [small, large, small])
    assert mixed.count == 12
    assert mixed.kind is None
    alone = mixed.alone
    assert (alone.count, alone.kind) == (4, "accelerator_type:A100")
    assert alone.resources == {"CPU": 1.0, "GPU": 1.0, "accelerator_type:A100": 0.001}
    assert alone.count_on([small, large, small]) == 4
    assert slots(RunOptions(), [small, small]).alone.kind is None
