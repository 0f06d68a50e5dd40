"""How a study is run: what may be typed, and what is told of what may not."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import Faults, InputError
from bench.storage.locks import WHOLE, Share
from bench.study.request import Request, read_options
from bench.study.run_options import RunOptions


def problems(**given: Any) -> tuple[str, ...]:
    """Sentences about what does not fit."""
    faults = Faults()
    read_options(given, faults)
    with pytest.raises(InputError) as caught:
        faults.raise_any()
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "gpus"), [(None, None), ("0", 0.0), ("0.25", 0.25), ("2", 2.0), (" auto ", "auto")]
)
def test_gpus_are_a_number_or_auto(text: str | None, gpus: float | str | None) -> None:
    assert read_options({"gpus_per_trial": text}, Faults()).gpus_per_trial == gpus


@pytest.mark.parametrize("text", ["-1", "half", "nan", "inf", ""])
def test_other_gpus_are_refused_with_what_is_allowed(text: str) -> None:
    (told,) = problems(gpus_per_trial=text)
    assert told == f"--gpus-per-trial {text}: must be 0 or more, such as 0.5, or auto"


@pytest.mark.parametrize("hours", [0.0, -1.0, float("inf"), float("nan")])
def test_gpu_hours_must_be_a_number_above_0(hours: float) -> None:
    (told,) = problems(max_gpu_hours=hours)
    assert told == f"--max-gpu-hours {hours:g}: must be a number above 0 such as 1.5"


def test_a_share_is_read_and_whole_without_one() -> None:
    assert read_options({"shard": " 2/4 "}, Faults()).shard == Share(2, 4)
    assert RunOptions().shard == WHOLE
    assert problems(shard="5/4") == ("--shard 5/4: must be I/N, the I-th of N parts, such as 2/4",)


def test_all_that_does_not_fit_is_told_at_once_and_the_rest_is_kept() -> None:
    given = {"time_budget": "soon", "max_gpu_hours": 0.0, "workers": 0, "max_retries": 5}
    told = problems(**given)

    assert [line.split()[0] for line in told] == ["--workers", "--time-budget", "--max-gpu-hours"]
    assert told[0] == "--workers 0: must be 1 or more"
    assert read_options(given, Faults()).max_retries == 5


def test_a_request_comes_back_from_its_record_and_can_be_typed_again() -> None:
    request = Request(
        keys={"strategies": "lora", "halving": True, "compile": False},
        sets=("lora.rank=8",),
        options=RunOptions.model_validate(
            {"time_budget": "1h 30m", "track": ("mlflow", "wandb"), "insecure_cluster": True}
        ),
    )
    study = request.check(faults := Faults())
    faults.raise_any()
    content = request.to_json(study)

    assert content["study"]["strategies"] == {"lora": {"rank": 8}}
    assert content["options"]["time_budget"] == "1h30m"
    assert request.words == [
        "sweep", "--strategies", "lora", "--halving", "--no-compile", "--set", "lora.rank=8",
        "--time-budget", "1h30m", "--insecure-cluster", "--track", "mlflow", "--track", "wandb",
    ]  # fmt: skip
