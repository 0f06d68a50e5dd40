"""What ``paretune confirm`` asks for: the run's own command, and what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bench.cli import confirm, sweep
from bench.errors import Faults, LedgerError
from bench.study.request import Request
from bench.study.run_options import RunOptions
from tests.helpers.folders import write_run
from tests.helpers.requests import recorded_request
from tests.helpers.simulate import World, simulated_run

RUN = simulated_run({"full": 0.6, "lora": 0.55}, World(seeds=3), trials=2)
COMMAND = (
    "paretune sweep study.yaml --out=old --max-retries 7 --trial-timeout 300 --address auto"
    " --max-gpu-hours 3 --confirm 0"
)


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What would be run, each time with the contexts of its run."""
    found: list[Request] = []

    def note(request: Request, faults: Faults, contexts: Mapping[str, str] | None) -> int:
        faults.raise_any()
        assert contexts == RUN.study.contexts
        found.append(request)
        return 0

    monkeypatch.setattr(confirm, "run_sweep", note)
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump({"trials": 2}))
    return found


def asked(folder: Path, command: str, requests: list[Request], seeds: int | None = None,
          **typed: Any) -> Request:  # fmt: skip
    changed = RUN.study.model_copy(
        update={"command": command, "confirm": 0, "request": recorded_request(command)}
    )
    write_run(folder, type(RUN)(study=changed, searched=RUN.searched))
    assert confirm.confirm_run(folder, seeds, typed) == 0
    return requests[-1]


def test_what_was_not_typed_is_as_in_the_run_s_command(
    tmp_path: Path, requests: list[Request]
) -> None:
    request = asked(tmp_path / "run", COMMAND, requests, max_retries=None, address=None)
    options = request.options

    assert (options.max_retries, str(options.trial_timeout), options.address) == (7, "300s", "auto")
    assert request.check(Faults()).file.confirm == 5
    assert request.file == "study.yaml"


def test_what_was_typed_counts_before_what_the_run_was_asked(
    tmp_path: Path, requests: list[Request]
) -> None:
    request = asked(tmp_path / "run", COMMAND, requests, 9, max_retries=1, address="head:6379")

    assert (request.options.max_retries, request.options.address) == (1, "head:6379")
    assert request.check(Faults()).file.confirm == 9


def test_nothing_is_searched_no_budget_applies_and_the_folder_is_the_one_that_was_named(
    tmp_path: Path, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(tmp_path / "run", COMMAND, requests)

    assert budgets_of_a_run(request, RUN.study.contexts, monkeypatch) == (None, None, False)
    assert request.options.out == str(tmp_path / "run")
    words = request.words
    assert words[:2] == ["sweep", "study.yaml"]
    assert words[words.index("--out") + 1] == str(tmp_path / "run")
    assert words[words.index("--confirm") + 1] == "5"
    assert "old" not in words


def budgets_of_a_run(
    request: Request, contexts: Mapping[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[object, object, bool]:
    """Time and GPU hours that a run of a request is given, and whether it searches."""
    found: list[tuple[object, object, bool]] = []

    class Begun(Exception):
        pass

    def run(experiment: Any, options: RunOptions, observe: Any, *, searches: bool) -> None:
        found.append((options.time_budget, options.max_gpu_hours, searches))
        raise Begun

    experiment = SimpleNamespace(
        contexts=contexts, study=SimpleNamespace(left_out=()), refusals=dict
    )
    monkeypatch.setattr(sweep, "_checked", lambda request, faults: experiment)
    monkeypatch.setattr(sweep, "run_study", run)
    with pytest.raises(Begun):
        sweep.run_sweep(request, Faults(), contexts)
    return found[0]


def test_the_command_that_goes_on_with_the_search_keeps_its_budget(
    tmp_path: Path, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(tmp_path / "run", COMMAND, requests)

    assert "--max-gpu-hours 3" in request.command
    assert "None" not in request.command
    assert budgets_of_a_run(request, None, monkeypatch) == (None, 3.0, True)


@pytest.mark.parametrize(
    "damaged",
    [{}, {"study": {"model": "bundled"}}, {"options": {"of_another_version": 1}}, {"sets": 7}],
)
def test_what_was_asked_is_refused_where_it_cannot_be_read(
    tmp_path: Path, damaged: dict[str, Any]
) -> None:
    study = RUN.study.model_copy(update={"request": damaged})
    folder = write_run(tmp_path / "run", type(RUN)(study=study, searched=RUN.searched))

    with pytest.raises(LedgerError, match="what the run was asked to do cannot be read: request"):
        confirm.confirm_run(folder, None, {})


def test_a_study_file_that_has_changed_or_gone_changes_nothing_of_what_is_confirmed(
    tmp_path: Path, requests: list[Request]
) -> None:
    command = f"{COMMAND} --set lora.rank=8"
    request = asked(tmp_path / "run", command, requests)
    Path("study.yaml").unlink()
    study = request.check(faults := Faults())

    faults.raise_any()
    assert study.file.trials == 2
    (lora,) = (arm for arm in study.arms if arm.name == "lora")
    assert lora.fixed == {"rank": 8}
