from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ray._private.utils import check_version_info

from bench.cluster.join import mismatch
from bench.doctor import probe
from bench.doctor.checks import differing, judge
from bench.doctor.collect import Inquiry, Node, Skew, Survey
from bench.doctor.findings import Finding, Level, NodeName, folded
from bench.training.speed.toolchain import cannot_compile

SOURCES = {"bench": {"bench/training/loop.py": "def step(): return 1\n"}}
PACKAGES = {
    "ray": "2.60.0",
    "torch": "2.13.0+cpu",
    "transformers": "5.23.0",
    "paretune": "0.1.0",
    "numpy": "2.4.6",
    "safetensors": "0.8.0",
}
FACTS: dict[str, Any] = {
    "python": "3.11.7",
    "packages": PACKAGES,
    "code": {"bench": {"bench/training/loop.py": None}},
    "cores": 8,
    "cpu": "one kind",
    "driver": None,
    "torch": None,
    "raylet": {"settings": {"RAY_memory_monitor_refresh_ms": "0"}, "plasma": "/dev/shm"},
    "token_mode": 0o600,
    "open_files": 65536,
    "results": {"seen": True, "unwritable": None},
}
H100 = {"name": "H100", "bytes": 80 * 2**30}
GPU = {"cuda": "12.8", "gpus": [H100]}
RESOURCES = {"CPU": 8.0, "memory": 2.0**35, "object_store_memory": 2.0**33}


def node(number: int = 1, *, resources: dict[str, float] | None = None, **facts: object) -> Node:
    return Node(
        place=NodeName(address=f"10.0.0.{number}", node=f"{number:08x}"),
        identity=f"{number:056x}",
        resources={**RESOURCES, **(resources or {})},
        facts=FACTS | facts,
        arrived=True,
        skew=Skew(seconds=0.1, doubt=0.01),
    )


def look(*nodes: Node, **more: Any) -> Survey:
    usual = {"unwritable": None, "has_token": True, "weights": 2**30}
    return Survey(here=FACTS, sources=SOURCES, nodes=nodes, folder="/runs", **usual | more)


def told(level: Level, *nodes: Node, **more: Any) -> list[str]:
    return [
        f"{finding.check}: {finding.sentence}"
        for finding in judge(look(*nodes, **more))
        if finding.level is level
    ]


def problems(*nodes: Node, **more: Any) -> list[str]:
    return [*told(Level.REFUSED, *nodes, **more), *told(Level.WARNING, *nodes, **more)]


def test_nodes_that_agree_are_one_line_per_check() -> None:
    nodes = [node(number) for number in range(1, 4)]
    assert problems(*nodes) == []
    lines = told(Level.OK, *nodes)
    assert all(": 3 nodes: " in line for line in lines)
    assert [line.partition(":")[0] for line in lines] == [
        "nodes", "versions", "code", "machines", "results", "token", "clocks", "Ray",
    ]  # fmt: skip
    assert lines[1].startswith("versions: 3 nodes: Python 3.11.7, ray 2.60.0, torch 2.13.0+cpu")


@pytest.mark.parametrize(
    ("name", "version", "level"),
    [
        ("paretune", "0.0.9", Level.REFUSED),
        ("torch", "2.12.0+cpu", Level.REFUSED),
        ("torch", None, Level.REFUSED),
        ("transformers", "5.22.0", Level.REFUSED),
        ("ray", "2.59.0", Level.REFUSED),
        ("torch", "2.13.0+cu128", Level.WARNING),
        ("numpy", "2.3.0", Level.WARNING),
        ("paretune", None, Level.WARNING),
    ],
)
def test_another_version_is_told_with_node_and_both_versions(
    name: str, version: str | None, level: Level
) -> None:
    odd = node(2, packages=PACKAGES | {name: version})
    (line,) = told(level, node(), odd)
    assert problems(node(), odd) == [line]
    said = version or "is not installed"
    assert f"10.0.0.2 (00000002): {name} {said}, here {PACKAGES[name]}; " in line
    assert f"pip install '{name}=={PACKAGES[name].partition('+')[0]}'" in line


def test_paretune_that_is_missing_altogether_is_refused() -> None:
    bare = node(2, packages=PACKAGES | {"paretune": None}, code={"bench": None})
    lines = told(Level.REFUSED, node(), bare)
    assert "paretune is not installed, here 0.1.0" in lines[0]
    assert "bench is not installed" in lines[1]


@pytest.mark.parametrize(
    ("python", "level"), [("3.11.9", Level.WARNING), ("3.12.1", Level.REFUSED)]
)
def test_another_python_is_told(python: str, level: Level) -> None:
    (line,) = told(level, node(), node(2, python=python))
    assert f"Python {python}, here 3.11.7" in line


@pytest.mark.parametrize(
    ("mine", "theirs", "found"),
    [
        ({"a.py": "x = 1\n"}, {"a.py": None}, []),
        ({"a.py": "x = 1\n"}, {"a.py": "# said\nx  = 1\n"}, []),
        ({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}, ["a.py"]),
        ({"a.py": "x = 1\n"}, {"a.py": "x = (\n"}, ["a.py"]),
        ({"a.py": "x = 1\n"}, {}, ["a.py"]),
        ({}, {"a.py": "x = 1\n"}, ["a.py"]),
    ],
)
def test_code_differs_where_more_than_comments_and_layout_do(
    mine: dict[str, str], theirs: dict[str, str | None], found: list[str]
) -> None:
    assert differing(mine, theirs) == found


def test_other_code_of_the_same_version_is_refused_and_of_another_is_not_told_twice() -> None:
    code = {"bench": {"bench/training/loop.py": "def step(): return 2\n"}}
    (line,) = told(Level.REFUSED, node(), node(2, code=code))
    assert "code: 10.0.0.2 (00000002): other code in bench/training/loop.py than here" in line
    other = node(2, code=code, packages=PACKAGES | {"paretune": "0.0.9"})
    (line,) = told(Level.REFUSED, node(), other)
    assert "paretune 0.0.9" in line


@pytest.mark.parametrize(
    ("torch", "told_of"),
    [
        ({"cuda": None, "gpus": []}, "torch 2.13.0+cpu sees 0 (built without GPUs, no NVIDIA"),
        ({"cuda": "12.8", "gpus": []}, "sees 0 (built for CUDA 12.8, no NVIDIA driver)"),
        ({"error": "torch does not load: OSError"}, "torch does not load: OSError"),
    ],
)
def test_gpus_that_ray_shares_out_and_torch_does_not_see_are_refused(
    torch: dict[str, Any], told_of: str
) -> None:
    (line,) = problems(node(resources={"GPU": 1.0}, torch=torch))
    assert line.startswith("machines: 10.0.0.1 (00000001): ")
    assert told_of in line


def test_gpus_are_told_with_name_memory_driver_and_cuda() -> None:
    nodes = [
        node(number, resources={"GPU": 2.0}, torch=GPU | {"gpus": [H100, H100]}, driver="570.1")
        for number in (1, 2)
    ]
    assert problems(*nodes) == []
    machines = "machines: 2 nodes: 8 of 8 cores, 2 × H100 (80 GiB), driver 570.1, CUDA 12.8"
    assert any(line.startswith(machines) for line in told(Level.OK, *nodes))


def test_machines_of_several_kinds_are_a_warning_where_trials_would_run_on_them() -> None:
    other = node(2, cpu="another kind")
    (line,) = problems(node(), other)
    assert "on another kind and on one kind: their times will not compare" in line
    assert problems(node(), replace(other, resources={"CPU": 0.0})) == []
    gpu = node(3, resources={"GPU": 1.0}, torch=GPU, driver="570.1")
    assert problems(node(), other, gpu) == []
    slow = node(4, resources={"GPU": 1.0}, torch=GPU | {"gpus": [{"name": "T4", "bytes": 2**34}]})
    assert "on H100 and on T4" in "".join(problems(gpu, slow))


@pytest.mark.parametrize(
    ("results", "arrived", "told_of"),
    [
        ({"seen": False, "unwritable": None}, True, "does not see what this machine writes"),
        ({"seen": False, "unwritable": "OSError: x"}, True, "writes to /runs (OSError: x); name"),
        ({"seen": True, "unwritable": "PermissionError: x"}, True, "cannot write there: Perm"),
        ({"seen": True, "unwritable": None}, False, "what it writes to /runs does not arrive"),
    ],
)
def test_a_results_folder_that_is_not_shared_is_refused(
    results: dict[str, Any], arrived: bool, told_of: str
) -> None:
    odd = replace(node(2, results=results), arrived=arrived)
    (line,) = problems(node(), odd)
    assert line.startswith("results: 10.0.0.2 (00000002): ")
    assert told_of in line


LACKS = "--compile: torch.compile needs a C++ compiler and there is none; install g++"
FINE: dict[str, Any] = {"torch": {"cuda": None, "gpus": [], "cannot_compile": None}}
BARE: dict[str, Any] = {"torch": FINE["torch"] | {"cannot_compile": LACKS}}


def test_a_node_that_cannot_compile_is_refused_by_name_if_trials_are_compiled() -> None:
    nodes = [node(1, **FINE), node(2, **BARE), node(3, **FINE)]
    (line,) = problems(*nodes, compiles=True)
    assert line == f"compilers: 10.0.0.2 (00000002): {LACKS}"
    assert [said for said in told(Level.OK, *nodes, compiles=True) if "compilers" in said] == [
        "compilers: 2 nodes: there is what torch.compile needs"
    ]
    assert told(Level.OK, node(1), node(2)) == told(Level.OK, node(1), node(2), compiles=False)
    assert problems(node(1), node(2)) == []


def test_a_node_on_which_no_trial_runs_needs_no_compiler() -> None:
    head = node(1, **BARE)
    with_gpu = node(2, resources={"GPU": 1.0}, driver="580.1", torch=GPU | {"cannot_compile": None})
    assert problems(head, with_gpu, compiles=True) == []
    (line,) = problems(head, with_gpu, compiles=True, on_gpus=False)
    assert line.startswith("compilers: 10.0.0.1 (00000001): ")
    coreless = replace(head, resources=RESOURCES | {"CPU": 0.0})
    assert problems(coreless, node(2, **FINE), compiles=True) == []


def test_where_torch_does_not_load_that_is_told_and_not_what_it_lacks() -> None:
    (line,) = problems(node(1, torch={"error": "torch does not load: so"}), compiles=True)
    assert line.startswith("machines: ")


def test_a_results_folder_that_this_machine_cannot_write_is_told_once() -> None:
    (line,) = problems(node(), node(2), unwritable="OSError: full")
    assert line.startswith("results: this machine cannot write to /runs: OSError: full")


def test_nodes_without_an_answer_are_refused_and_leaving_ones_are_not() -> None:
    silent = replace(node(2), facts=None, silent="none within 30 s")
    gone = replace(node(3), facts=None, silent="died", is_leaving=True)
    (line,) = told(Level.REFUSED, node(), silent, gone)
    assert "10.0.0.2 (00000002): gives no answer: none within 30 s; " in line
    (line,) = told(Level.WARNING, node(), silent, gone)
    assert "10.0.0.3 (00000003): is leaving the cluster" in line


def test_a_clock_is_off_only_beyond_the_doubt_of_the_question() -> None:
    off = replace(node(2), skew=Skew(seconds=-65.0, doubt=0.2))
    (line,) = problems(node(), off)
    assert "the clock is 65.0 s behind this one's (± 0.2 s)" in line
    assert problems(replace(off, skew=Skew(seconds=6.0, doubt=2.0))) == []
    assert problems(replace(off, skew=None)) == []


def test_a_token_that_others_may_read_is_refused_where_a_token_counts() -> None:
    (line,) = problems(node(), node(2, token_mode=0o644))
    assert "10.0.0.2 (00000002): the file with the cluster's token can be read by others" in line
    assert "chmod 600" in line
    assert problems(node(2, token_mode=0o644), has_token=False) == []
    assert problems(node(2, token_mode=None)) == []


@pytest.mark.parametrize(
    ("facts", "told_of"),
    [
        (
            {"raylet": {"settings": {"RAY_memory_monitor_refresh_ms": None}, "plasma": None}},
            "start the node with RAY_memory_monitor_refresh_ms=0",
        ),
        (
            {"raylet": FACTS["raylet"] | {"plasma": "/tmp"}},
            "give the node a larger /dev/shm",
        ),
        ({"open_files": 1024}, "1024 open files are allowed"),
    ],
)
def test_settings_of_ray_that_end_badly_are_warnings(facts: dict[str, Any], told_of: str) -> None:
    (line,) = told(Level.WARNING, node(), node(2, **facts))
    assert line.startswith("Ray: 10.0.0.2 (00000002): ")
    assert told_of in line
    assert told(Level.REFUSED, node(2, **facts)) == []


def test_a_model_larger_than_an_object_store_is_a_warning() -> None:
    (line,) = problems(node(), weights=2**34)
    assert "holds 8.0 GiB, the model 16.0 GiB" in line


def test_notices_name_nodes_and_no_addresses() -> None:
    (finding,) = [
        finding
        for finding in judge(look(node(), node(2, open_files=1024)))
        if finding.level is Level.WARNING
    ]
    assert finding.notice.startswith("node 00000002: 1024 open files")
    assert "10.0.0" not in finding.notice


def test_many_nodes_with_the_same_fault_are_one_line() -> None:
    places = [NodeName(address=f"10.0.0.{number}", node=str(number)) for number in range(8)]
    findings = [
        Finding(check="Ray", level=Level.WARNING, found="so", places=(place,)) for place in places
    ]
    (line,) = folded(findings)
    assert line.where.endswith("10.0.0.4 (4) and 3 more")


def test_versions_that_keep_this_machine_out_are_told_from_what_ray_says() -> None:
    with pytest.raises(RuntimeError) as raised:
        check_version_info({"ray_version": "2.59.0", "python_version": "3.12.1"}, "node 10.0.0.1")
    told = mismatch(str(raised.value))
    assert told is not None
    assert "the cluster runs Ray 2.59.0 on Python 3.12.1, this machine Ray " in told
    assert "pip install 'ray==2.59.0'" in told
    assert mismatch("no such host") is None


def test_what_travels_to_nodes_imports_the_standard_library_alone() -> None:
    tree = ast.parse(Path(probe.__file__).read_text(encoding="utf-8"))
    top = {
        name.partition(".")[0]
        for statement in tree.body
        for name in (
            [alias.name for alias in statement.names]
            if isinstance(statement, ast.Import)
            else [statement.module or ""]
            if isinstance(statement, ast.ImportFrom)
            else []
        )
    }
    assert top <= sys.stdlib_module_names


def test_a_machine_answers_in_plain_values_and_files_come_and_go(tmp_path: Path) -> None:
    question = Inquiry.about(["ray", "nothing"], ["bench", "nowhere"], str(tmp_path / "a" / "b"))
    asked = question.to("here", gpus=False)
    with question.token() as unwritable:
        answer = probe.probe(asked)
        assert len(list(tmp_path.iterdir())) == 2
        assert question.has_arrived("here")
    assert unwritable is None
    assert list(tmp_path.iterdir()) == []
    assert json.loads(json.dumps(answer)) == answer
    assert answer["results"] == {"seen": True, "unwritable": None}
    assert answer["packages"]["nothing"] is None
    assert answer["code"]["nowhere"] is None
    assert set(answer["code"]["bench"].values()) == {None}
    assert "bench/cli/app.py" not in answer["code"]["bench"]


def _asked_to_compile(folder: Path) -> Any:
    question = Inquiry.about([], ["bench"], str(folder), compiles=True)
    answer = probe.probe(question.to("here", gpus=False))
    assert json.loads(json.dumps(answer)) == answer
    return answer["torch"]


def test_a_machine_tells_whether_it_can_compile_without_importing_what_is_installed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "site" / "bench"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('not this one')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert _asked_to_compile(tmp_path) == {
        "cuda": torch.version.cuda,
        "gpus": [],
        "cannot_compile": cannot_compile(),
    }
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "install g++" in _asked_to_compile(tmp_path)["cannot_compile"]


def test_a_node_that_does_not_see_the_token_leaves_nothing(tmp_path: Path) -> None:
    question = Inquiry.about([], [], str(tmp_path))
    assert probe.leave(question.to("there", gpus=False)) == {"seen": False, "unwritable": None}
    assert list(tmp_path.iterdir()) == []


def test_goodbye_takes_the_file_away_and_tells_the_time(tmp_path: Path) -> None:
    question = Inquiry.about([], [], str(tmp_path))
    asked = question.to("there", gpus=False)
    with question.token():
        probe.leave(asked)
    assert len(list(tmp_path.iterdir())) == 1
    assert probe.farewell(asked) > 1_700_000_000_000_000_000
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_on_one_line(tmp_path: Path) -> None:
    question = replace(Inquiry.about([], [], str(tmp_path)), folder=str(tmp_path / "missing"))
    with question.token() as unwritable:
        left = probe.leave(question.to("there", gpus=False))
    assert unwritable is not None
    assert unwritable.startswith("FileNotFoundError: ")
    assert "\n" not in unwritable
    assert left["unwritable"].startswith("FileNotFoundError: ")


@pytest.mark.slow
def test_torch_is_asked_for_gpus_in_a_process_of_its_own() -> None:
    found = probe._torch(None)
    assert found.keys() == {"cuda", "gpus"}
    hidden = probe._torch({"settings": {"CUDA_VISIBLE_DEVICES": ""}})
    assert hidden["gpus"] == []
