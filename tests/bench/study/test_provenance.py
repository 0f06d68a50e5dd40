"""Hashes follow the code and not its looks; the command can be typed again and names no home."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.data.tasks.multiple_choice import MultipleChoice
from bench.strategy import Strategy
from bench.study import provenance
from bench.study.provenance import (
    BENCH,
    code_fingerprint,
    commit,
    outdated,
    result_files,
    shown_command,
    source_hash,
)
from tests.helpers.peft_methods import peft

CODE = """
from dataclasses import dataclass
from bench.strategy import Strategy
from bench.data.tasks.multiple_choice import MultipleChoice

SCALE = 2

@dataclass(frozen=True, kw_only=True)
class Mine(Strategy):
    def adapt(self, backbone):
        return backbone
"""
Load = Callable[[str], type[Strategy]]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Writes a module and imports its strategy."""
    names: list[str] = []

    def make(code: str) -> type[Strategy]:
        name = f"temporary_strategy_{len(names)}"
        names.append(name)
        path = tmp_path / f"{name}.py"
        path.write_text(code)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        mine: type[Strategy] = module.Mine
        return mine

    yield make
    for name in names:
        del sys.modules[name]


def test_comments_and_layout_do_not_change_the_fingerprint(load: Load) -> None:
    before = code_fingerprint(load(CODE), MultipleChoice)
    assert re.fullmatch("[0-9a-f]{16}", before)
    for prettier in [
        f"# Mine.\n\n\n{CODE}",
        CODE.replace("return backbone", "return (\n            backbone  # as it is\n        )"),
    ]:
        assert code_fingerprint(load(prettier), MultipleChoice) == before


@pytest.mark.parametrize(
    ("old", "new"), [("SCALE = 2", "SCALE = 3"), ("return backbone", "return backbone.eval()")]
)
def test_code_changes_the_fingerprint(load: Load, old: str, new: str) -> None:
    assert code_fingerprint(load(CODE.replace(old, new)), MultipleChoice) != code_fingerprint(
        load(CODE), MultipleChoice
    )


@pytest.mark.parametrize("written", ["from {0}.helper import SCALE", "import {0}.helper",
                                     "from {0} import helper"])  # fmt: skip
def test_what_a_strategy_imports_of_its_own_package_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    found = []
    monkeypatch.syspath_prepend(tmp_path)
    for scale in (2, 3):
        package = f"package_of_{len(written)}_{scale}"
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        (tmp_path / package / "helper.py").write_text(f"SCALE = {scale}\n")
        code = f"{CODE}\ndef helped():\n    {written.format(package)}\n"
        (tmp_path / package / "method.py").write_text(code)
        mine = importlib.import_module(f"{package}.method").Mine
        found.append(code_fingerprint(mine, MultipleChoice))
    assert found[0] != found[1]


def test_the_modules_behind_peft_count() -> None:
    gathered: dict[str, Any] = {}
    provenance._gather(sys.modules[type(peft("ia3")).__module__], gathered)
    assert list(gathered) == [
        "strategies.peft_bridge", "strategies.peft_methods", "strategies.peft_wrap"
    ]  # fmt: skip


def hash_of(bench: Path) -> str:
    """Of the code in a copy of ``bench`` that decides what comes out of a trial."""
    return source_hash(*(path.read_text("utf-8") for path in result_files(bench)))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A copy of the package that can be changed."""
    return shutil.copytree(BENCH, tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize(
    "name", [path.relative_to(BENCH).as_posix() for path in sorted(result_files(BENCH))]
)
def test_every_file_of_training_models_and_data_counts(bench: Path, name: str) -> None:
    before = hash_of(bench)
    with (bench / name).open("a", encoding="utf-8") as file:
        file.write("\nADDED = 1\n")
    assert hash_of(bench) != before


def test_whoever_imports_a_file_of_training_elsewhere_leaves_its_fingerprint_alone(
    bench: Path,
) -> None:
    before = hash_of(bench)
    for path in bench.rglob("*.py"):
        text = path.read_text("utf-8")
        path.write_text(text.replace("bench.training.measure", "bench.training.measuring"), "utf-8")
    (bench / "training" / "measure.py").rename(bench / "training" / "measuring.py")
    (bench / "data" / "tokens.py").rename(bench / "training" / "tokens.py")
    assert hash_of(bench) == before


def test_two_files_that_become_one_leave_the_fingerprint_alone(bench: Path) -> None:
    before = hash_of(bench)
    loop, measure = bench / "training" / "loop.py", bench / "training" / "measure.py"
    head = "from __future__ import annotations\n"
    loop.write_text(loop.read_text("utf-8") + measure.read_text("utf-8").replace(head, ""), "utf-8")
    measure.unlink()
    assert hash_of(bench) == before


@pytest.mark.parametrize("folder", ["reports", "cli", "tune", "storage"])
def test_what_no_trial_passes_through_is_not_in_its_fingerprint(folder: str) -> None:
    assert not any(folder in path.parts for path in result_files(BENCH))


def test_the_commit_is_twelve_digits_and_says_if_the_checkout_was_changed() -> None:
    in_checkout = (BENCH.parent / ".git").exists()
    found = commit()
    assert found is None or re.fullmatch("[0-9a-f]{12,40}(-dirty)?", found)
    assert (found is not None) == in_checkout


@pytest.mark.parametrize("broken", [False, True])
def test_outside_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    if broken:
        (tmp_path / ".git").write_text("gitdir: nowhere")
    monkeypatch.setattr(provenance, "BENCH", tmp_path / "bench")
    assert commit() is None


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", "/home/ada")
    return "/home/ada"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["sweep", "quick"], "paretune sweep quick"),
        (["--out", "/home/ada/runs/a"], "paretune --out ~/runs/a"),
        (["--out", "/home/ada"], "paretune --out ~"),
        (["--out", "/home/ada/"], "paretune --out ~"),
        (["--out=/home/ada/runs"], "paretune --out ~/runs"),
        (["/home/ada/a=b"], "paretune ~/a=b"),
        (["/home/ada/my runs/$x; ls"], "paretune ~/'my runs/$x; ls'"),
        (["/home/adam/runs"], "paretune /home/adam/runs"),
        (["my file", "~", "~/x", "a'b"], """paretune 'my file' '~' '~/x' 'a'"'"'b'"""),
    ],
)
def test_the_command_can_be_typed_again_and_names_no_home(
    home: str, arguments: list[str], shown: str
) -> None:
    assert shown_command(arguments) == shown


def test_what_is_shown_is_what_a_shell_reads_back(home: str) -> None:
    arguments = ["sweep", "two words", "a;b", "$(x)", "", f"{home}/it's here"]
    words = shlex.split(shown_command(arguments))
    assert [w.replace("~/", f"{home}/") for w in words] == ["paretune", *arguments]


def test_s04_a_package_older_than_its_floor_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert outdated() == []
    really = provenance.version
    monkeypatch.setattr(provenance, "version", lambda n: "2.50.0" if n == "ray" else really(n))
    (problem,) = outdated()
    assert re.match(r"ray 2\.50\.0 is installed, >=2\.\d+ is needed; run: pip install", problem)
