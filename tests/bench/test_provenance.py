"""Hashes follow the code and not its looks; the command can be typed again and names no home."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import provenance
from bench.provenance import RESULT_MODULES, code_fingerprint, commit, outdated, shown_command
from bench.strategy import Strategy
from bench.tasks.multiple_choice import MultipleChoice
from tests.peft_methods import peft

CODE = """
from dataclasses import dataclass
from bench.strategy import Strategy
from bench.tasks.multiple_choice import MultipleChoice

SCALE = 2

@dataclass(frozen=True, kw_only=True)
class Mine(Strategy):
    def adapt(self, backbone):
        return backbone
"""
Load = Callable[[str], type[Strategy]]
CONTRACTS = {
    "errors", "ledger", "record", "spec", "clock", "strategy", "space", "plugins", "questions",
    "location", "storage", "scrub", "task", "packing",
}  # fmt: skip
"""Modules a trial passes through that hold, tell or time what comes out and do not decide it."""


def imported(name: str) -> set[str]:
    """Modules of ``bench`` that one of them imports, by way of others too."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        fresh = named_in(waiting.pop()) - found
        found |= fresh
        waiting.extend(fresh)
    return found


def named_in(name: str) -> set[str]:
    """Modules of ``bench`` that one of them imports itself."""
    tree = ast.parse((Path(provenance.__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    named = (node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {module.removeprefix("bench.") for module in named if module.startswith("bench.")}


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
    real, found = provenance._module_hash, []
    monkeypatch.setattr(
        provenance,
        "_module_hash",
        lambda module: "same" if module.__name__.endswith(".method") else real(module),
    )
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


@pytest.mark.parametrize("name", RESULT_MODULES)
def test_the_training_code_counts_whatever_the_strategy(
    load: Load, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = load(CODE)
    before = code_fingerprint(mine, MultipleChoice)
    real = provenance._module_hash
    monkeypatch.setattr(
        provenance,
        "_module_hash",
        lambda module: "changed" if module.__name__ == f"bench.{name}" else real(module),
    )
    assert code_fingerprint(mine, MultipleChoice) != before


def test_the_commit_is_twelve_digits_and_says_if_the_checkout_was_changed() -> None:
    in_checkout = (Path(provenance.__file__).parent.parent / ".git").exists()
    found = commit()
    assert found is None or re.fullmatch("[0-9a-f]{12,40}(-dirty)?", found)
    assert (found is not None) == in_checkout


@pytest.mark.parametrize("broken", [False, True])
def test_outside_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    if broken:
        (tmp_path / ".git").write_text("gitdir: nowhere")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "bench" / "provenance.py"))
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


def test_whatever_a_trial_passes_through_is_in_its_fingerprint() -> None:
    assert imported("trial") - CONTRACTS <= set(RESULT_MODULES)


def test_s04_a_package_older_than_its_floor_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert outdated() == []
    really = provenance.version
    monkeypatch.setattr(provenance, "version", lambda n: "2.50.0" if n == "ray" else really(n))
    (problem,) = outdated()
    assert re.match(r"ray 2\.50\.0 is installed, >=2\.\d+ is needed; run: pip install", problem)
