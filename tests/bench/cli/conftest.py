"""What the tests of commands share: a command run in this process, and a made-up run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from bench.cli import main
from bench.records.study_record import Run
from tests.helpers.asking import ACCURACIES, Command
from tests.helpers.folders import write_run
from tests.helpers.simulate import simulated_run


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Command]:
    """Exit code, standard output and standard error of a command, run in this process."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["paretune", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return int(ended.value.code or 0), output.out, output.err

    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):  # a command sets variables for its own process
        yield run


@pytest.fixture(scope="session")
def simulated() -> Run:
    return simulated_run(ACCURACIES, seed=1)


@pytest.fixture(scope="session")
def folder(simulated: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("questions") / "run", simulated)
