"""The options of ``paretune sweep``.

The function is longer than others because Typer reads a command's options from its signature: it
has one parameter per option, and what it does with them fits on a screen.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.cli.supervise import is_supervised, supervise
from bench.errors import LedgerError

if TYPE_CHECKING:
    from bench.cli.sweep import Request

STUDY_KEYS = (
    "name", "model", "dataset", "task", "text_column", "pair_column", "label_column", "objective",
    "strategies", "trials", "epochs", "batch_size", "micro_batch",
    "max_length", "train_limit", "validation_limit", "test_limit", "pooling", "seed", "sampler",
    "confirm", "halving", "reduction_factor", "grace_epochs", "precision",
    "gradient_checkpointing", "compile",
)  # fmt: skip
"""Parameters of ``sweep`` that are keys of a study file."""

EPILOG = """Examples:

  paretune sweep quick

  paretune sweep --dataset my_folder --strategies full,lora,adapter --trials 8

  paretune sweep --dataset reviews.csv --text-column body --label-column mood --objective macro_f1

  paretune sweep --strategies lora --set lora.rank=8 --set 'prompt.length={low: 1, high: 50}'

  paretune leaderboard runs/quick --sort trained_parameters"""


def sweep(  # noqa: PLR0913 - one parameter per option, which is why it is so long
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY.yaml]", help="A study file, or a preset: quick, reference, thorough."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study.")] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="The run folder itself: a path, or s3://…, gs://… that all machines reach.",
            show_default="runs/NAME",
        ),
    ] = None,
    model: options.Model = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="A known name (see `paretune datasets`), owner/name of the Hub, a folder of"
            " {train,validation,test}.{csv,jsonl}, or one such file, which is split.",
            show_default="elementary",
        ),
    ] = None,
    task: options.Task = None,
    text_column: options.TextColumn = None,
    pair_column: options.PairColumn = None,
    label_column: options.LabelColumn = None,
    objective: options.Objective = None,
    strategies: Annotated[
        str | None, typer.Option(help="Names with commas, or all.", show_default="all")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials per strategy.", show_default="4")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training examples.", show_default="3")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples per step.", show_default="16")
    ] = None,
    micro_batch: Annotated[
        str | None,
        typer.Option(
            help="auto splits a batch that does not fit into memory.", show_default="whole"
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens per sequence.", show_default="128"),
    ] = None,
    train_limit: Annotated[int | None, typer.Option(help="Most training examples.")] = None,
    validation_limit: Annotated[int | None, typer.Option(help="Most validation examples.")] = None,
    test_limit: Annotated[int | None, typer.Option(help="Most test examples.")] = None,
    pooling: Annotated[
        str | None, typer.Option(help="cls, mean or last.", show_default="cls")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.", show_default="0")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe or random.", show_default="tpe")] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            help="Fresh seeds for what is chosen, before the test; 0 tests the search's trials.",
            show_default="5",
        ),
    ] = None,
    halving: Annotated[
        bool | None,
        typer.Option(
            "--halving/--no-halving",
            help="Stop trials that fall behind others of their strategy.",
            show_default="--no-halving",
        ),
    ] = None,
    reduction_factor: Annotated[
        int | None,
        typer.Option(help="Halving: one in so many goes on from a rung.", show_default="2"),
    ] = None,
    grace_epochs: Annotated[
        int | None, typer.Option(help="Halving: epochs before the first rung.", show_default="1")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ARM.KNOB=VALUE", help="Fix a knob, or give it a range."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, fp32 or bf16.", show_default="auto")
    ] = None,
    gradient_checkpointing: options.GradientCheckpointing = None,
    compile: options.Compile = None,  # noqa: A002 - the option's name
    cpus_per_trial: Annotated[
        float | None, typer.Option(help="Cores.", min=0, show_default="1")
    ] = None,
    gpus_per_trial: Annotated[
        str | None,
        typer.Option(
            help="GPUs, fractions allowed; auto shares each out by a trial's memory.",
            metavar="NUMBER|auto",
            show_default="1 where there is one",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Most trials at a time.", min=1, show_default="all that fit")
    ] = None,
    time_budget: Annotated[
        str | None,
        typer.Option(
            help="Search no longer than 90s, 30m, 2h, 1h30m or plain seconds.", metavar="TIME"
        ),
    ] = None,
    max_gpu_hours: Annotated[
        float | None, typer.Option(help="Search no longer than so many hours times GPUs.")
    ] = None,
    max_retries: Annotated[
        int, typer.Option(help="Times a trial is tried again after its worker died.", min=0)
    ] = 2,
    trial_timeout: Annotated[
        str | None, typer.Option(help="End trials that take longer, such as 30m.", metavar="TIME")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster.", show_default="this machine")
    ] = None,
    insecure_cluster: options.InsecureCluster = False,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Run the I-th of N shares of the search, beside commands that run the others.",
            metavar="I/N",
        ),
    ] = None,
    supervised: Annotated[
        bool, typer.Option("--supervise", help="Start again whenever the sweep's process dies.")
    ] = False,
    fresh_workers: Annotated[
        bool, typer.Option("--fresh-workers", help="A new process for every trial.")
    ] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRACKER", help="Show trials in mlflow, wandb or tensorboard; also several."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, run nothing.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Search every strategy with the same budget, confirm what is best on fresh seeds, report.

    The same command again goes on where the run folder stands. Options override the study file.
    """
    asked = dict(locals())
    if supervised and not is_supervised():
        raise typer.Exit(supervise(sys.argv[1:]))
    from bench.cli.sweep import run_sweep

    raise typer.Exit(run_sweep(request_of(asked, sys.argv[1:])))


def with_option(words: Sequence[str], option: str, value: str) -> list[str]:
    """Words of a command with an option set to a value, where it stands or at the end."""
    given = [n for n, word in enumerate(words) if word == option or word.startswith(f"{option}=")]
    if not given:
        return [*words, option, value]
    place = given[-1]
    rest = words[place + 1 :] if "=" in words[place] else words[place + 2 :]
    return [*words[:place], option, value, *rest]


def without_option(words: Sequence[str], option: str) -> list[str]:
    """Words of a command less an option and its value."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == option:
            next(rest, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def words_of(command: str) -> list[str]:
    """The words after ``sweep`` of a command as a run folder states it, home folders in full.

    Raises:
        LedgerError: it is no sweep, or cannot be read.
    """
    try:
        words = shlex.split(command)
        words = words[words.index("sweep") + 1 :]
        return [str(Path(word).expanduser()) if word.startswith("~") else word for word in words]
    except (ValueError, RuntimeError) as error:
        raise LedgerError(f"the run's command is no sweep: {command}") from error


def parameters_of(words: Sequence[str]) -> dict[str, Any]:
    """Value by name of every parameter of a sweep.

    Args:
        words: what was typed after ``sweep``.

    Raises:
        LedgerError: there is no such command.
    """
    from typer.exceptions import TyperException

    try:
        return parse(words)
    except TyperException as error:
        raise LedgerError(f"the run's command cannot be read: {shlex.join(words)}") from error


def parse(words: Sequence[str]) -> dict[str, Any]:
    """As ``parameters_of``, but what is wrong is a usage error as for words that were typed."""
    from typer.main import get_command

    from bench.cli.app import app

    parser = get_command(app).commands["sweep"]  # type: ignore[attr-defined]
    with parser.make_context("paretune sweep", [*words]) as context:  # it empties the list
        return dict(context.params)


def request_of(asked: Mapping[str, Any], command: Sequence[str]) -> Request:
    """What was typed, from the values of all parameters of ``sweep``.

    Args:
        asked: value by name of the parameter.
        command: everything that was typed.
    """
    from bench.cli.sweep import Request

    return Request(
        study=asked["study"],
        overrides={key: asked[key] for key in STUDY_KEYS if asked[key] is not None},
        sets=tuple(asked["set_"] or ()),
        folder=asked["out"],
        cpus=asked["cpus_per_trial"],
        gpus=asked["gpus_per_trial"],
        workers=asked["workers"],
        time_budget=asked["time_budget"],
        max_gpu_hours=asked["max_gpu_hours"],
        max_retries=asked["max_retries"],
        trial_timeout=asked["trial_timeout"],
        address=asked["address"],
        insecure_cluster=asked["insecure_cluster"],
        fresh_workers=asked["fresh_workers"],
        shard=asked["shard"],
        track=tuple(asked["track"] or ()),
        dry_run=asked["dry_run"],
        as_json=asked["as_json"],
        command=tuple(command),
    )
