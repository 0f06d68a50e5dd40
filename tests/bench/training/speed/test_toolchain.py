"""A machine that cannot compile says why before a trial is compiled."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from bench.training.speed import toolchain
from bench.training.speed.toolchain import cannot_compile

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.*` is deprecated:DeprecationWarning"  # torch's compiler on import
)


def test_a_machine_without_compiler_or_headers_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._inductor import config

    with config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        assert "install g++" in (cannot_compile() or "")
    with monkeypatch.context() as patch:
        patch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", lambda: "g++")
        patch.setattr("sysconfig.get_paths", lambda: {"include": "/nowhere"})
        assert "headers" in (cannot_compile() or "")


def test_a_compiler_that_answers_and_does_not_work_is_told_with_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Python.h").touch()
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'no cc1plus; sorry' >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", lambda: str(broken))
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    reason = cannot_compile() or ""
    assert f"{broken} does not work: no cc1plus, sorry; install g++" in reason
    assert reason.count("; ") == 1


def test_a_gpu_without_triton_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", lambda: "true")
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.utils._triton.has_triton", lambda: False)
    assert "needs triton for a GPU; install it" in (cannot_compile() or "")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cannot_compile() is None


def test_what_travels_to_other_machines_needs_torch_alone() -> None:
    tree = ast.parse(Path(toolchain.__file__).read_text(encoding="utf-8"))
    roots = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert roots <= {*sys.stdlib_module_names, "torch"}
