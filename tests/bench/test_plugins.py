"""Plug-ins of installed distributions: good ones are found, bad ones are named and left out."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.errors import PluginError
from bench.plugins import Plugins, file_name, load_plugins
from bench.strategy import FAMILIES, GROUP, Strategy, check_family, check_strategy, is_installed

Install = Callable[..., None]

GOOD = """
from dataclasses import dataclass
from typing import ClassVar
from bench.strategy import Strategy

@dataclass(frozen=True, kw_only=True)
class Mine(Strategy):
    name: ClassVar[str] = "{name}"
    paper: ClassVar[str] = "https://example.org/paper"
    rank: int = 8

    def adapt(self, backbone):
        return backbone
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one module and its entry points on the path."""

    def install(distribution: str, code: str, group: str = GROUP, **points: str) -> None:
        folder = tmp_path / distribution
        information = folder / f"{distribution}-1.0.dist-info"
        information.mkdir(parents=True)
        (folder / f"{distribution}.py").write_text(code)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = [f"{name} = {distribution}:{target}" for name, target in points.items()]
        (information / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        # In front of everything, where a plug-in that wants our names would be seen first.
        monkeypatch.syspath_prepend(folder)

    load()  # ours are imported already when the first foreign one is
    before = set(sys.modules)
    yield install
    for module in set(sys.modules) - before:
        del sys.modules[module]


def load() -> Plugins[type[Strategy]]:
    return load_plugins(GROUP, check_strategy)


def told(plugins: Plugins[type[Strategy]], name: str) -> str:
    """The only sentence about a plug-in."""
    (error,) = [error for error in plugins.broken if error.name == name]
    return str(error)


def test_our_own_strategies_are_installed() -> None:
    plugins = load()
    assert plugins.broken == ()
    assert {"full", "lora", "adapter", "prefix", "prompt"} <= plugins.found.keys()


def test_a_sound_plug_in_of_another_distribution_is_found_after_ours(install: Install) -> None:
    before = list(load().found)
    install("sound_methods", GOOD.format(name="aaa"), aaa="Mine")
    plugins = load()
    assert list(plugins.found) == [*before, "aaa"]
    assert plugins.found["aaa"]().knobs == {"rank": 8}
    assert plugins.broken == ()


def test_a_plug_in_that_fails_on_import_is_named_and_the_others_still_run(
    install: Install,
) -> None:
    install("broken_methods", "import no_such_library_at_all", crash="Mine")
    install("sound_methods", GOOD.format(name="fine"), fine="Mine")
    plugins = load()
    assert "fine" in plugins.found
    assert "crash" not in plugins.found
    assert "ModuleNotFoundError: No module named 'no_such_library_at_all'" in told(plugins, "crash")


def test_a_plug_in_that_points_nowhere_is_named(install: Install) -> None:
    install("hollow_methods", "", ghost="NoSuchClass")
    assert "NoSuchClass" in told(load(), "ghost")


def test_ours_keeps_its_name_when_a_plug_in_wants_it(install: Install) -> None:
    install("aaa_methods", GOOD.format(name="lora"), lora="Mine")
    plugins = load()
    assert plugins.found["lora"].__module__ == "strategies.lora"
    assert "the name is taken" in told(plugins, "lora")


def test_of_two_foreign_plug_ins_of_one_name_the_same_one_wins_every_time(
    install: Install,
) -> None:
    install("abc_methods", GOOD.format(name="shared"), shared="Mine")
    install("xyz_methods", GOOD.format(name="shared"), shared="Mine")
    plugins = load()
    assert plugins.found["shared"].__module__ == "abc_methods"
    assert "the name is taken" in told(plugins, "shared")


def test_a_name_that_could_not_be_a_file_name_is_refused(install: Install) -> None:
    install("odd_methods", GOOD.format(name="a/b"), **{"a/b": "Mine"})
    plugins = load()
    assert "a/b" not in plugins.found
    assert "a name must match" in told(plugins, "a/b")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("(Strategy)", ""), "is not a subclass of bench.strategy.Strategy"),
        (('"mine"', '"other"'), "Mine.name must be 'mine'"),
        (("https://", "ftp://"), "Mine.paper must be the URL"),
        (("frozen=True, ", ""), "frozen"),
        (("@dataclass(frozen=True, kw_only=True)", ""), "must be a @dataclass(frozen=True)"),
        (("rank: int = 8", "rank: int"), "every knob needs a default, rank has none"),
        (("def adapt", "def adopt"), "Mine does not define adapt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_class_that_breaks_the_contract_is_refused_with_the_rule(
    install: Install, change: tuple[str, str], reason: str
) -> None:
    code = GOOD.format(name="mine")
    assert change[0] in code
    install("wrong_methods", code.replace(*change), mine="Mine")
    plugins = load()
    assert "mine" not in plugins.found
    assert reason in told(plugins, "mine")


FAMILY = """
from bench.errors import StudyError
from bench.strategy import Family

class Mine(Family):
    def names(self):
        return ("one",)

    def strategy(self, name):
        raise StudyError(f"no {name}")

MINE = Mine()
"""


def test_a_family_of_another_distribution_is_found_and_one_that_is_none_is_named(
    install: Install,
) -> None:
    install("family_methods", FAMILY, FAMILIES, mine="MINE", wrong="Mine")
    plugins = load_plugins(FAMILIES, check_family)
    assert list(plugins.found) == ["peft", "mine"]
    assert plugins.found["mine"].names() == ("one",)
    (error,) = plugins.broken
    assert "is no instance of bench.strategy.Family" in str(error)


def test_what_is_installed_is_known_by_name_without_importing_it(install: Install) -> None:
    install("broken_methods", "import no_such_library_at_all", crash="Mine")
    assert is_installed("lora")
    assert is_installed("crash")
    assert is_installed("peft:ia3")
    assert not is_installed("gone")
    assert not is_installed("gone:ia3")


@pytest.mark.parametrize(("name", "file"), [("peft:ia3-003", "peft-ia3-003"), ("lora", "lora")])
def test_a_name_becomes_a_files_without_a_colon(name: str, file: str) -> None:
    assert file_name(name) == file


def test_an_object_that_is_no_class_is_refused() -> None:
    with pytest.raises(PluginError, match=r"'mine' was left out: 42 is not a subclass"):
        check_strategy("mine", 42)
