"""What people ask of a run: which configuration to take, and what has changed between two."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records.study_record import Run
from tests.helpers.asking import ACCURACIES, Command
from tests.helpers.folders import write_run
from tests.helpers.simulate import World, simulated_run


def test_a_recommendation_says_all_that_is_needed_to_take_it(
    command: Command, folder: Path
) -> None:
    code, output, _ = command("recommend", folder, "--max-parameters", "300k")

    assert code == 0
    told = " ".join(output.split())
    assert "lora-000: rank=8 alpha=16" in told
    assert "trained parameters 74,113" in told
    assert re.search(r"test accuracy 0\.\d{3} \(95 % interval 0\.\d{3} … 0\.\d{3}\), 5 seeds", told)
    assert "4.20 ms" in told
    assert "289.5 KiB" in told
    assert "against full-000" in told
    assert "cannot be told apart, p = " in told
    assert "paretune sweep --name demo-lora-000 " in told
    assert f"paretune export {folder} lora-000 --to lora-000 " in told
    assert f"paretune train {folder} lora-000 --to lora-000-final " in told
    assert "strategy = find_strategy('lora')(rank=8, alpha=16" in told


def test_a_recommendation_is_a_json_document_too(command: Command, folder: Path) -> None:
    code, output, _ = command("recommend", folder, "--json", "--max-bytes", "300kB")
    found = json.loads(output)

    assert code == 0
    assert (found["configuration"], found["trained_parameters"]) == ("lora-000", 74_113)
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert list(found["seeds"]) == ["1001", "1002", "1003", "1004", "1005"]
    assert found["best"]["configuration"] == "full-000"
    assert found["asked"] == {"--max-bytes": 300_000, "--min-accuracy": None}
    assert found["command"].startswith("paretune sweep ")


def test_an_accuracy_says_by_which_figure_it_is_reached(command: Command, folder: Path) -> None:
    sure = " ".join(command("recommend", folder, "--min-accuracy", "0.55")[1].split())
    likely = " ".join(command("recommend", folder, "--min-accuracy", "61.5%")[1].split())

    widened = "the lower end of its interval, widened for the choice among 3,"
    assert re.search(rf"0\.55: even {widened} reaches it: 0\.5[5-9]\d", sure)
    assert re.search(rf"0\.615: only its mean reaches it; {widened} is 0\.[56]\d\d", likely)


def test_a_choice_by_test_answers_is_called_one_and_what_was_no_choice_is_not(
    command: Command, folder: Path
) -> None:
    said = "chosen among 3 configurations by their test answers: its accuracy is likely"

    assert said in command("recommend", folder)[1]
    assert said in command("recommend", folder, "--min-accuracy", "0.55")[1]
    alone = command("recommend", folder, "--max-parameters", "1k", "--min-accuracy", "0.2")[1]
    assert "chosen among" not in alone
    assert "0.2: even the lower end of its interval reaches it" in " ".join(alone.split())

    found = json.loads(command("recommend", folder, "--json")[1])
    assert found["among"] == 3
    assert found["low_among"] < found["accuracy"]["low"]
    assert any(notice.startswith(said) for notice in found["notices"])


def test_where_nothing_fits_it_says_which_limit_excludes_what(
    command: Command, folder: Path
) -> None:
    asked = ("--max-parameters", "50k", "--min-accuracy", "0.5")
    code, output, _ = command("recommend", folder, *asked)

    assert code == 1
    assert "--max-parameters 50,000 excludes 2: lora-000 (74,113), full-000 (22,713,601)" in output
    assert re.search(r"--min-accuracy 0\.5 excludes 1: linear-000 \(0\.\d{3}\)\n", output)
    assert "nearest: lora-000" in output
    assert "trained parameters 74,113, allowed 50,000" in output

    code, output, _ = command("recommend", folder, *asked, "--json")
    assert code == 1
    assert json.loads(output)["nearest"]["configuration"] == "lora-000"


def test_timings_on_shared_devices_are_called_not_comparable_where_they_decide(
    command: Command, simulated: Run, tmp_path: Path
) -> None:
    shared = [
        r.model_copy(
            update={"seconds": r.seconds and r.seconds.model_copy(update={"device_shared": True})}
        )
        for r in simulated.confirmed
    ]
    run = Run(study=simulated.study, searched=simulated.searched, confirmed=tuple(shared),
              freeze=simulated.freeze)  # fmt: skip
    other = write_run(tmp_path / "shared", run)

    said = "--max-ms judges timings that are not comparable: 3 of 3 configurations"
    assert said in command("recommend", other, "--max-ms", "5")[1]
    assert said not in command("recommend", other)[1]


def test_every_fault_of_a_question_is_told_at_once(command: Command) -> None:
    code, _, error = command(
        "recommend", "nowhere", "--max-ms", "fast", "--max-bytes", "5XB", "--min-accuracy", "2"
    )
    assert code == 2
    assert "4 problems" in error
    for option in ("--max-ms fast", "--max-bytes 5XB", "--min-accuracy 2", "nowhere: no study"):
        assert option in error

    code, _, error = command("compare", "nowhere", "neither")
    assert code == 2
    assert "2 problems" in error


def test_a_run_without_test_scores_says_how_to_get_them(
    command: Command, simulated: Run, tmp_path: Path
) -> None:
    other = write_run(tmp_path / "a run", Run(study=simulated.study, searched=simulated.searched))
    code, _, error = command("recommend", other)

    assert code == 2
    assert f"run: paretune confirm '{other}'" in error


def test_a_run_agrees_with_itself(command: Command, folder: Path) -> None:
    code, output, _ = command("compare", folder, folder)

    assert code == 0
    assert "27 of 27 equal to the last answer" in output
    assert "no drift beyond noise in 3 comparisons" in output


def test_drift_is_named_and_an_exit_code(
    command: Command, folder: Path, simulated: Run, tmp_path: Path
) -> None:
    worse = simulated_run(ACCURACIES | {"lora": 0.5}, seed=1)
    study = worse.study.model_copy(update={"commit": "beef"})
    other = write_run(tmp_path / "worse", Run.of(study, [*worse.searched, *worse.confirmed],
                                               worse.freeze))  # fmt: skip
    code, output, _ = command("compare", folder, other)

    assert code == 1
    assert "drift, other code" in output
    assert "drift beyond noise in 1 of 3 comparisons: lora-000" in output
    assert re.search(r"commit +0123abc +beef", output)

    code, output, _ = command("compare", folder, other, "--json")
    found = json.loads(output)
    assert (code, found["drifted"]) == (1, True)
    assert [a["first"]["configuration"] for a in found["accuracies"] if a["is_drift"]] == [
        "lora-000"
    ]
    assert simulated.test_scorings == 15


def test_single_seeds_that_differ_are_no_drift_and_no_exit_code(
    command: Command, tmp_path: Path
) -> None:
    world = World(seeds=1)
    folders = []
    for place, arms in enumerate((ACCURACIES, ACCURACIES | {"lora": 0.4})):
        run = simulated_run(arms, world, seed=1)
        assert run.freeze is not None
        seeded = [r.model_copy(update={"seed": 1001 + place}) for r in run.confirmed]
        freeze = run.freeze.model_copy(update={"seeds": (1001 + place,)})
        other = Run.of(run.study, [*run.searched, *seeded], freeze)
        folders.append(write_run(tmp_path / f"run{place}", other))
    code, output, _ = command("compare", *folders)

    assert code == 0
    assert "drift cannot be judged in 3 of 3 comparisons: one seed speaks of other data" in output
    assert "beyond noise" not in output
    assert output.count("too few seeds") == 3

    code, output, _ = command("compare", *folders, "--json")
    found = json.loads(output)
    assert (code, found["drifted"]) == (0, False)
    assert [(a["p"], a["is_drift"]) for a in found["accuracies"]] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["leaderboard", "nowhere", "--watch"], "nowhere: no study.json here"),
        (["leaderboard", "nowhere", "--every", "soon"], "--every soon: must be a time"),
        (["dashboard", "nowhere"], "nowhere: no study.json here"),
        (["dashboard", "nowhere", "--port", "99999"], "--port 99999: must be 0 … 65535"),
    ],
)
def test_bad_input_is_one_message_with_exit_code_2(
    command: Command, tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, _, error = command(*arguments)

    assert code == 2
    assert told in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["recommend", "compare", "leaderboard", "dashboard"])
def test_help_has_examples(command: Command, name: str) -> None:
    code, output, _ = command(name, "--help")

    assert code == 0
    assert f"paretune {name} runs/" in " ".join(output.split())


def test_a_question_about_a_run_waits_for_no_torch_and_no_ray(folder: Path) -> None:
    program = """
import sys
from bench.cli import main
run = sys.argv[1]
for question in (["recommend", run], ["compare", run, run], ["leaderboard", run, "--watch"]):
    sys.argv = ["paretune", *question]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
print(sorted({"torch", "ray", "transformers", "optuna"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
