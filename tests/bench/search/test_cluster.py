import pytest

from bench.errors import StudyError
from bench.search.cluster import Demand, cluster, slots

TWO_CORES = {"CPU": 2.0, "memory": 1e9}
GPU_NODE = {"CPU": 16.0, "GPU": 2.0}


def test_without_a_gpu_every_core_runs_a_trial() -> None:
    found = slots(Demand(), [TWO_CORES])

    assert (found.cpus, found.gpus, found.count) == (1.0, 0.0, 2)
    assert found.device_shared
    assert found.resources == {"CPU": 1.0}


def test_with_gpus_every_gpu_runs_a_trial_and_nodes_without_are_left_alone() -> None:
    found = slots(Demand(), [TWO_CORES, GPU_NODE])

    assert (found.gpus, found.count, found.device_shared) == (1.0, 2, False)
    assert found.resources == {"CPU": 1.0, "GPU": 1.0}


def test_a_fraction_of_a_gpu_lets_trials_share_it() -> None:
    found = slots(Demand(gpus=0.5), [GPU_NODE])

    assert (found.count, found.device_shared) == (4, True)


def test_cores_may_be_the_limit_beside_gpus() -> None:
    assert slots(Demand(cpus=10, gpus=1), [GPU_NODE]).count == 1


def test_one_trial_on_all_cores_has_the_device_to_itself() -> None:
    assert not slots(Demand(cpus=2), [TWO_CORES]).device_shared


def test_fewer_trials_at_a_time_can_be_asked_for_and_more_than_fit_cannot() -> None:
    assert slots(Demand(workers=1), [TWO_CORES]).count == 1
    assert not slots(Demand(workers=1), [TWO_CORES]).device_shared
    assert slots(Demand(workers=9), [TWO_CORES]).count == 2


def test_three_tenths_of_a_core_fit_ten_times_into_three() -> None:
    assert slots(Demand(cpus=0.3), [{"CPU": 3.0}]).count == 10


def test_more_than_any_node_has_is_refused_with_both_numbers() -> None:
    with pytest.raises(StudyError, match=r"1 CPUs and 4 GPUs.* 2 CPUs and 0 GPUs"):
        slots(Demand(gpus=4), [TWO_CORES])


def test_what_only_two_nodes_together_have_is_refused() -> None:
    with pytest.raises(StudyError, match="largest node has 2 CPUs"):
        slots(Demand(cpus=3), [TWO_CORES, TWO_CORES])


def test_the_ray_client_is_refused_with_the_way_out() -> None:
    with (
        pytest.raises(StudyError, match="--address auto"),
        cluster(Demand(address="ray://head:10001")),
    ):
        pass


def test_a_trial_may_use_its_share_of_the_memory_of_the_smallest_node() -> None:
    small, large = {"CPU": 2.0, "memory": 8e9}, {"CPU": 8.0, "memory": 64e9}
    assert slots(Demand(), [small, large]).memory == 4_000_000_000
    assert slots(Demand(workers=1), [small]).memory == 8_000_000_000
    assert slots(Demand(cpus=4), [small, large]).memory == 32_000_000_000
    assert slots(Demand(), [{"CPU": 2.0}]).memory is None


def test_alone_a_trial_has_whole_gpus_or_all_cores_of_its_machine() -> None:
    shared = slots(Demand(gpus=0.5), [TWO_CORES, GPU_NODE]).alone
    assert (shared.gpus, shared.cpus, shared.count) == (1.0, 1.0, 2)
    assert not shared.device_shared

    machine = slots(Demand(), [TWO_CORES]).alone
    assert (machine.gpus, machine.cpus, machine.count) == (0.0, 2.0, 1)
    assert machine.memory == 1_000_000_000


@pytest.mark.parametrize(
    ("cores", "cpus", "count"),
    [((2, 8), 8, 1), ((6, 8, 8), 6, 3), ((4, 8, 8), 8, 2), ((3, 3), 3, 2)],
)
def test_alone_no_machine_runs_two_trials(cores: tuple[int, ...], cpus: int, count: int) -> None:
    alone = slots(Demand(), [{"CPU": float(number)} for number in cores]).alone
    assert (alone.cpus, alone.count) == (cpus, count)
