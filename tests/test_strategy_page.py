"""The distribution of docs/add-a-strategy.md is built, installed and swept with, as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.folders import write_dataset, write_model
from tests.helpers.harness import install
from tests.helpers.tiny import LAYERS, WIDTH

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "add-a-strategy.md"
FILE = re.compile(r"`([\w.-]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)
LONGEST = 35
"""Lines of the method itself: the page says that a method is short."""

BROKEN = "import no_such_library_at_all\n"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that has ended, and the folder it ran in."""

    code: int
    output: str
    errors: str
    folder: Path


def shown_files() -> dict[str, str]:
    """The files of the page by name."""
    return dict(FILE.findall(PAGE.read_text(encoding="utf-8")))


def test_the_page_shows_a_short_method_with_its_distribution() -> None:
    files = shown_files()
    assert files.keys() == {"paretune_scale.py", "pyproject.toml"}
    method = files["paretune_scale.py"].split("@dataclass")[1].split("SPACE =")[0]
    lines = [line for line in method.splitlines() if line.strip()]
    assert len(lines) <= LONGEST


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's distribution, installed by pip into a folder, and a broken one beside it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in shown_files().items():
        (source / name).write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    command = [*pip, "--no-index", "--disable-pip-version-check", "--target", str(target), "."]
    done = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    install(
        target, "broken_methods", BROKEN, "[paretune.strategies]\nbroken = broken_methods:Mine\n"
    )
    return target


def run(folder: Path, site: Path, *arguments: str) -> Done:
    """The command as a person runs it, with the plug-ins in its path."""
    paths = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
    )
    return Done(code=done.returncode, output=done.stdout, errors=done.stderr, folder=folder)


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_takes_it_in_and_names_the_broken_one_beside_it(site: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    write_dataset(tmp_path / "data")
    asked = ("--model", "model", "--dataset", "data", "--strategies", "scale,linear")
    asked = (*asked, "--trials", "3", "--epochs", "1", "--confirm", "1", "--out", "run")
    done = run(tmp_path, site, "sweep", *asked)

    assert done.code == 0, done.errors
    told = "plug-in 'broken' was left out: ModuleNotFoundError: No module named"
    assert told in " ".join(done.errors.split())
    study = json.loads((tmp_path / "run" / "study.json").read_text(encoding="utf-8"))
    assert study["arms"] == {"scale": "scale", "linear": "linear"}
    assert [text[: len(told)] for text in study["left_out"]] == [told]
    assert "plug-in 'broken' was left out" in (tmp_path / "run/report/report.md").read_text()

    files = (tmp_path / "run" / "trials").glob("*.json")
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    mine = [record for record in records if record["strategy"] == "scale"]
    assert len(mine) >= 4, "three of the search and one on a fresh seed"
    for record in mine:
        assert record["status"] == "completed", record["traceback"]
        sites = 2 if record["knobs"]["attention"] else 1
        assert record["parameters"]["trained"] == sites * LAYERS * WIDTH + WIDTH + 1
    assert any(record["test"] for record in mine)


@pytest.mark.slow
def test_it_is_listed_and_a_study_that_names_the_broken_one_hears_why(
    site: Path, tmp_path: Path
) -> None:
    write_model(tmp_path / "model")
    listed = run(tmp_path, site, "strategies", "--model", "model")
    assert listed.code == 0, listed.errors
    assert "scale" in listed.output
    assert "False | True" in listed.output
    assert "plug-in 'broken' was left out" in listed.output

    write_dataset(tmp_path / "data")
    asked = ("--model", "model", "--dataset", "data", "--strategies", "scale,broken")
    refused = run(tmp_path, site, "sweep", *asked, "--out", "run")
    assert refused.code == 2
    assert "No module named 'no_such_library_at_all'" in " ".join(refused.errors.split())
    assert not (tmp_path / "run").exists()
