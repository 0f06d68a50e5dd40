"""Every command on every page: its options exist, and it is run here or by a test that is named."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray.scripts.scripts
from typer.main import get_command

from bench.cli.app import app
from tests.helpers import pages
from tests.helpers.folders import write_dataset, write_model
from tests.helpers.pages import PAGES, ROOT, Command, name_of

ANSWERS_SOON = 600
"""Seconds that a command may take; those of tiny models take some."""

RUN_AS = {
    "paretune sweep --model sentence-transformers/all-MiniLM-L6-v2 --dataset my_folder"
    " --strategies lora,linear --out runs/hub": (
        "paretune sweep --model my_model --dataset my_folder --strategies lora,linear"
        " --out runs/hub",
        "tests reach no Hub",
    ),
    "paretune sweep --dataset nyu-mll/glue:mrpc --strategies lora,linear --out runs/paraphrases": (
        "paretune sweep --model my_model --dataset pairs.csv --strategies lora,linear"
        " --out runs/paraphrases",
        "tests reach no Hub",
    ),
    "paretune sweep --dataset mine.csv --strategies lora,bitfit,full --trials 8 --out runs/mine": (
        "paretune sweep --model my_model --dataset mine.csv --strategies lora,bitfit,full"
        " --trials 8 --out runs/mine",
        "the bundled model takes minutes",
    ),
}
"""What stands for a command that cannot be run as it is, and why."""

LAUNCH = "tests/faults/test_launch.py"
SERVER = "--cluster http://127.0.0.1:8265"
RUN_BY = {
    "make demo": "tests/test_pages.py::test_what_make_is_asked_for_is_there",
    "make test": "tests/test_pages.py::test_what_make_is_asked_for_is_there",
    "python -m pip install --no-deps .": (
        "tests/test_strategy_page.py::test_a_sweep_takes_it_in_and_names_the_broken_one_beside_it"
    ),
    "paretune strategies": (
        "tests/test_strategy_page.py::"
        "test_it_is_listed_and_a_study_that_names_the_broken_one_hears_why"
    ),
    "paretune sweep --strategies scale,linear --trials 4": (
        "tests/test_strategy_page.py::test_a_sweep_takes_it_in_and_names_the_broken_one_beside_it"
    ),
    "paretune dashboard runs/mine": (
        "tests/bench/cli/test_dashboard.py::test_the_dashboard_is_served_to_this_machine_alone"
    ),
    "paretune sweep study.yaml --track wandb": (
        "tests/bench/trackers/test_base.py::"
        "test_wandb_has_a_run_per_trial_without_a_key_or_a_name_of_the_machine"
    ),
    'pip install -c constraints.txt "dist/paretune-0.1.0-py3-none-any.whl[cluster,s3]"': (
        "tests/test_pages.py::test_the_wheel_that_is_installed_has_this_version_and_these_extras"
    ),
    "(umask 077; ray get-auth-token --generate > /dev/null)": (
        "tests/test_pages.py::test_ray_knows_what_it_is_asked"
    ),
    "export RAY_AUTH_MODE=token": (
        "tests/faults/test_cluster.py::test_s01_who_has_the_token_runs_trials"
    ),
    "paretune doctor --address auto": (
        "tests/faults/test_doctor.py::test_nodes_that_agree_are_one_line_and_nothing_is_left_behind"
    ),
    "paretune sweep thorough --address auto --out /shared/runs/thorough": (
        "tests/faults/test_cluster.py::test_f07_trials_of_a_lost_or_drained_node_move_on"
    ),
    "ssh -N -L 8265:127.0.0.1:8265 HEAD &": (
        f"{LAUNCH}::test_a_cluster_file_is_reached_through_a_tunnel_that_ends_with_the_command"
    ),
    f"paretune launch thorough {SERVER} --out s3://bucket/thorough --detach": (
        f"{LAUNCH}::test_a_stopped_job_leaves_a_partial_report_and_a_further_launch_completes_it"
    ),
    f"paretune jobs {SERVER}": (f"{LAUNCH}::test_a_job_outlives_the_terminal_that_launched_it"),
    "paretune attach": f"{LAUNCH}::test_a_job_outlives_the_terminal_that_launched_it",
    "paretune stop": (
        f"{LAUNCH}::test_a_stopped_job_leaves_a_partial_report_and_a_further_launch_completes_it"
    ),
    "paretune fetch": f"{LAUNCH}::test_a_job_outlives_the_terminal_that_launched_it",
    "paretune sweep thorough --shard 1/4 --out s3://bucket/thorough": (
        "tests/faults/test_store.py::test_two_shares_of_a_study_run_at_the_same_time_are_the_study"
    ),
    "paretune sweep thorough --shard 2/4 --out s3://bucket/thorough": (
        "tests/faults/test_store.py::test_two_shares_of_a_study_run_at_the_same_time_are_the_study"
    ),
    "#!/bin/bash": (
        "tests/test_cluster_file.py::"
        "test_the_batch_script_is_shell_and_starts_ray_with_a_token_and_no_dashboard"
    ),
    'kubectl create secret generic paretune-token --from-file=auth_token="$HOME/.ray/auth_token"': (
        "tests/test_cluster_file.py::"
        "test_the_job_for_kubernetes_asks_for_a_token_and_gives_its_pods_back"
    ),
    "kubectl apply -f paretune-job.yaml": (
        "tests/test_cluster_file.py::"
        "test_the_job_for_kubernetes_asks_for_a_token_and_gives_its_pods_back"
    ),
}
"""Commands that are not run here, each with the test that runs it, with the words or the place that
a test can have, or looks at it where no test can: clouds, clusters of others, SSH. A script is
named by its first line."""

FOREIGN = {"--dashboard-host", "--num-gpus", "--object-store-memory"}
"""Options on our pages that are Ray's."""

STUDY = "model: my_model\ndataset: my_folder\nstrategies: [lora, linear]\ntrials: 1\nconfirm: 1\n"
"""Of pages that name `study.yaml` and do not show it."""

PUBLISHED = ROOT / "reports" / "published" / "openbookqa"
HAS_RUN = {"docs/read-the-report.md": ("runs/mine", "runs/again")}
"""Run folders that a page takes for finished: copies of the published run."""

COMMANDS = [command for page in PAGES for command in pages.commands(page)]
GROUP = get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = {verb: {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
           for verb, command in GROUP.items()}  # fmt: skip


def key(command: Command) -> str:
    """What a command is called in the table."""
    return command.text.splitlines()[0] if command.is_script else command.text


def calls() -> Iterator[tuple[str, str]]:
    """Page and text of every call of paretune that stands as a line of its own."""
    for command in COMMANDS:
        yield from ((command.page, text) for text in command.ours)
    for page in PAGES:
        yield from ((name_of(page), text) for text in pages.calls_in_files(page))


@pytest.mark.parametrize(("page", "text"), sorted(set(calls())))
def test_a_command_is_read_with_every_option_it_has(page: str, text: str) -> None:
    _, verb, *words = shlex.split(text)
    assert verb in GROUP, f"{page}: {text}"
    with GROUP[verb].make_context(verb, words):
        pass


def test_options_within_sentences_exist() -> None:
    unknown = []
    for page in PAGES:
        for span in pages.spans(page):
            first, *rest = span.split()
            if first == "paretune" and rest:
                known = OPTIONS.get(rest[0], set())
                unknown += [] if rest[0] in GROUP else [f"{name_of(page)}: {span}"]
            else:
                known = set().union(*OPTIONS.values()) | FOREIGN
            asked = re.findall(r"(?<!\S)--[a-z][a-z-]*", span)
            if first in {"paretune", *asked}:
                unknown += [f"{name_of(page)}: {span}" for option in asked if option not in known]
    assert unknown == []


def test_every_command_is_run_here_or_by_a_test_that_is_named() -> None:
    unrun = [command for command in COMMANDS if key(command) not in RUN_BY]
    stray = [f"{c.page}: {c.text}" for c in unrun if not c.text.startswith("paretune ")]
    assert stray == []


def test_the_tables_name_commands_of_pages_and_tests_that_exist() -> None:
    known = {key(command) for command in COMMANDS}
    assert {*RUN_BY, *RUN_AS} - known == set()
    for test in RUN_BY.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in pages.links(page) if not (page.parent / link).exists()] == []


def test_every_page_is_found_from_the_first() -> None:
    linked = {(ROOT / link).resolve() for link in pages.links(ROOT / "README.md")}
    assert {name_of(page) for page in PAGES[1:] if page not in linked} == set()


def test_what_make_is_asked_for_is_there() -> None:
    for command in COMMANDS:
        if command.text.startswith("make "):
            subprocess.run(["make", "-n", *command.text.split()[1:]], cwd=ROOT, check=True,
                           capture_output=True)  # fmt: skip


def test_the_wheel_that_is_installed_has_this_version_and_these_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wheels = [re.search(r"paretune-([\d.]+)-py3-none-any\.whl\[([\w,]+)\]", c.text)
              for c in COMMANDS if c.text.startswith("pip install")]  # fmt: skip
    assert wheels
    for wheel in wheels:
        assert wheel
        assert wheel[1] == project["version"]
        assert set(wheel[2].split(",")) <= project["optional-dependencies"].keys()


def test_ray_knows_what_it_is_asked() -> None:
    words = [re.search(r"\bray ([a-z-]+) ([^>)]*)", c.text) for c in COMMANDS if not c.is_script]
    asked = [found for found in words if found]
    assert asked
    for found in asked:
        command = ray.scripts.scripts.cli.commands[found[1]]
        with command.make_context(found[1], found[2].split()):
            pass


def whole_table(begun: str, rows: int = 60) -> str:
    """A table as long as one of a person: the rows that are shown, over and over, numbered."""
    delimiter = max(",;", key=begun.partition("\n")[0].count)
    header, *shown = csv.reader(begun.splitlines(), delimiter=delimiter)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    for number, (first, *others) in zip(range(rows), itertools.cycle(shown), strict=False):
        writer.writerow([f"{first} {number}", *others])
    return text.getvalue()


def lay_out(folder: Path, page: Path) -> Path:
    """A folder with what the pages say a person has, and a command that is this paretune."""
    write_model(folder / "my_model")
    write_model(folder / "my_decoder", family="qwen3", first_token=False)
    write_dataset(folder / "my_folder")
    shutil.copy(folder / "my_folder" / "test.jsonl", folder / "questions.jsonl")
    tables = {name: whole_table(text) for name, text in pages.begun_tables(page).items()}
    new = {"new.csv": "text\nWhere is it?\nNever again!\n"}
    for name, text in {"study.yaml": STUDY, **new, **tables, **pages.shown_files(page)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for run in (PUBLISHED.relative_to(ROOT), *HAS_RUN.get(name_of(page), ())):
        shutil.copytree(PUBLISHED, folder / run)
    program = folder / "bin" / "paretune"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bench "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return folder


def runnable(page: Path) -> list[Command]:
    """The commands of a page that are run here."""
    return [command for command in pages.commands(page) if key(command) not in RUN_BY]


def written(text: str) -> list[str]:
    """What a command says that it writes."""
    words = shlex.split(text)
    if "--dry-run" in words:
        return []
    return [words[place + 1] for place, word in enumerate(words) if word in {"--out", "--to"}]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name_of)
def test_the_commands_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    folder = lay_out(tmp_path, page)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(folder / "bin"), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "HF_HUB_OFFLINE": "1",
    }
    for command in runnable(page):
        text, _ = RUN_AS.get(command.text, (command.text, ""))
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=ANSWERS_SOON,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert [name for name in written(text) if not (folder / name).exists()] == []
