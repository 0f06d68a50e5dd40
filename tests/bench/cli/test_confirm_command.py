"""What ``paretune confirm`` asks for: the run's own command, and what was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli import confirm
from bench.cli.sweep import Request
from bench.cli.sweep_command import parameters_of, with_option, words_of
from bench.errors import LedgerError
from tests.helpers.folders import write_run
from tests.helpers.simulate import World, simulated_run

RUN = simulated_run({"full": 0.6, "lora": 0.55}, World(seeds=3), trials=2)
COMMAND = (
    "paretune sweep study.yaml --out=old --max-retries 7 --trial-timeout 300 --address auto"
    " --max-gpu-hours 3 --confirm 0"
)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What would be run."""
    found: list[Request] = []

    def note(request: Request) -> int:
        found.append(request)
        return 0

    monkeypatch.setattr(confirm, "run_sweep", note)
    return found


def asked(folder: Path, command: str, requests: list[Request], seeds: int | None = None,
          **typed: Any) -> Request:  # fmt: skip
    changed = RUN.study.model_copy(update={"command": command, "confirm": 0})
    write_run(folder, type(RUN)(study=changed, searched=RUN.searched))
    assert confirm.confirm_run(folder, seeds, **typed) == 0
    return requests[-1]


def test_what_was_not_typed_is_as_in_the_run_s_command(
    tmp_path: Path, requests: list[Request]
) -> None:
    request = asked(tmp_path / "run", COMMAND, requests, max_retries=None, address=None)

    assert (request.max_retries, request.trial_timeout, request.address) == (7, "300", "auto")
    assert request.overrides["confirm"] == 5
    assert request.study == "study.yaml"


def test_what_was_typed_counts(tmp_path: Path, requests: list[Request]) -> None:
    request = asked(tmp_path / "run", COMMAND, requests, 9, max_retries=1, address="head:6379")

    assert (request.max_retries, request.address) == (1, "head:6379")
    assert request.overrides["confirm"] == 9


def test_nothing_is_searched_no_budget_applies_and_the_folder_is_the_one_that_was_named(
    tmp_path: Path, requests: list[Request]
) -> None:
    request = asked(tmp_path / "run", COMMAND, requests)

    assert request.contexts == RUN.study.contexts
    assert request.max_gpu_hours is None
    assert request.folder == str(tmp_path / "run")
    assert request.command[:4] == ("sweep", "study.yaml", "--out", str(tmp_path / "run"))
    assert request.command[-2:] == ("--confirm", "5")
    assert "--out=old" not in request.command


def test_an_option_is_set_whether_it_was_there_or_not() -> None:
    assert with_option(["a"], "--out", "y") == ["a", "--out", "y"]
    assert with_option(["a", "--out", "x", "b"], "--out", "y") == ["a", "--out", "y", "b"]
    assert with_option(["--out=x", "a"], "--out", "y") == ["--out", "y", "a"]


def test_a_command_is_read_as_a_shell_reads_it() -> None:
    words = words_of("paretune sweep 'my study.yaml' --set 'lora.rank=8' --out ~/runs/x")

    assert words == ["my study.yaml", "--set", "lora.rank=8", "--out", f"{Path.home()}/runs/x"]
    parameters = parameters_of(words)
    assert list(parameters["set_"]) == ["lora.rank=8"]
    assert words[0] == "my study.yaml"  # what was read is left as it was


@pytest.mark.parametrize("command", ["paretune report runs/x", "paretune sweep 'open"])
def test_what_is_no_sweep_is_refused(command: str) -> None:
    with pytest.raises(LedgerError, match="no sweep"):
        words_of(command)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        parameters_of(["--no-such-option"])
