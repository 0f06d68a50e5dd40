"""The commands of paretune.

``sweep`` is longer than other functions because Typer reads a command's options from its
signature: it has one parameter per option, and what it does with them fits on a screen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import __version__
from bench.cli.console import out
from bench.cli.supervise import is_supervised, supervise

EPILOG = """Examples:

  paretune sweep quick

  paretune sweep --dataset my_folder --strategies full,lora,adapter --trials 8

  paretune sweep --strategies lora --set lora.rank=8 --set 'prompt.length={low: 1, high: 50}'

  paretune leaderboard runs/quick --sort trained_parameters"""

app = typer.Typer(
    name="paretune",
    help="Benchmark fine-tuning methods: searched with equal budgets, timed, reported as a"
    " Pareto front of accuracy against trained parameters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        out.print(f"paretune {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Nothing but the options all commands share."""


Model = Annotated[
    str | None, typer.Option(help="bundled, a Hub id or a folder.", show_default="bundled")
]
Run = Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


@app.command(epilog=EPILOG)
def sweep(  # noqa: PLR0913 - one parameter per option
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY.yaml]", help="A study file, or a preset: quick, reference, thorough."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder itself.", show_default="runs/NAME")
    ] = None,
    model: Model = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="A known name (see `paretune datasets`) or a folder of"
            " {train,validation,test}.jsonl.",
            show_default="elementary",
        ),
    ] = None,
    strategies: Annotated[
        str | None, typer.Option(help="Names with commas, or all.", show_default="all")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials per strategy.", show_default="4")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training questions.", show_default="3")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Questions per step.", show_default="16")
    ] = None,
    micro_batch: Annotated[
        str | None,
        typer.Option(
            help="auto splits a batch that does not fit into memory.", show_default="whole"
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens per question and choice.", show_default="128"),
    ] = None,
    train_limit: Annotated[int | None, typer.Option(help="Most training questions.")] = None,
    validation_limit: Annotated[int | None, typer.Option(help="Most validation questions.")] = None,
    test_limit: Annotated[int | None, typer.Option(help="Most test questions.")] = None,
    pooling: Annotated[
        str | None, typer.Option(help="cls, mean or last.", show_default="cls")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.", show_default="0")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe or random.", show_default="tpe")] = None,
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
    cpus_per_trial: Annotated[
        float | None, typer.Option(help="Cores.", min=0, show_default="1")
    ] = None,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(help="GPUs, fractions allowed.", min=0, show_default="1 where there is one"),
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
        str | None,
        typer.Option(help="End trials that take longer, such as 30m.", metavar="TIME"),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster.", show_default="this machine")
    ] = None,
    insecure_cluster: Annotated[
        bool,
        typer.Option("--insecure-cluster", help="Join a cluster that asks for no token."),
    ] = False,
    supervised: Annotated[
        bool, typer.Option("--supervise", help="Start again whenever the sweep's process dies.")
    ] = False,
    fresh_workers: Annotated[
        bool, typer.Option("--fresh-workers", help="A new process for every trial.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show the plan, run nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search every strategy with the same budget and report accuracy against trained parameters.

    The same command again goes on where the run folder stands. Options override the study file.
    """
    if supervised and not is_supervised():
        raise typer.Exit(supervise(sys.argv[1:]))
    from bench.cli.sweep import Request, run_sweep

    keys: dict[str, Any] = {
        "name": name,
        "model": model,
        "dataset": dataset,
        "strategies": strategies,
        "trials": trials,
        "epochs": epochs,
        "batch_size": batch_size,
        "micro_batch": micro_batch,
        "max_length": max_length,
        "train_limit": train_limit,
        "validation_limit": validation_limit,
        "test_limit": test_limit,
        "pooling": pooling,
        "seed": seed,
        "sampler": sampler,
        "halving": halving,
        "reduction_factor": reduction_factor,
        "grace_epochs": grace_epochs,
        "precision": precision,
    }
    request = Request(
        study=study,
        overrides={key: value for key, value in keys.items() if value is not None},
        sets=tuple(set_ or ()),
        folder=out,
        cpus=cpus_per_trial,
        gpus=gpus_per_trial,
        workers=workers,
        time_budget=time_budget,
        max_gpu_hours=max_gpu_hours,
        max_retries=max_retries,
        trial_timeout=trial_timeout,
        address=address,
        insecure_cluster=insecure_cluster,
        fresh_workers=fresh_workers,
        dry_run=dry_run,
        as_json=as_json,
        command=tuple(sys.argv[1:]),
    )
    raise typer.Exit(run_sweep(request))


@app.command()
def leaderboard(
    run: Run,
    sort: Annotated[
        str | None, typer.Option(help="A column, such as trained_parameters or inference_ms_p50.")
    ] = None,
) -> None:
    """Print the leaderboard of a run."""
    from bench.cli.inspect import show_leaderboard

    raise typer.Exit(show_leaderboard(run, sort))


@app.command()
def status(run: Run, as_json: Json = False) -> None:
    """Tell where a run stands: ended, failed, running or interrupted, and how it goes on."""
    from bench.cli.status import show_status

    raise typer.Exit(show_status(run, as_json=as_json))


@app.command()
def report(run: Run) -> None:
    """Write the report of a run again from its records."""
    from bench.cli.inspect import rewrite_report

    raise typer.Exit(rewrite_report(run))


@app.command()
def strategies(model: Model = None) -> None:
    """List the strategies: knobs, paper, and parameters trained on a model."""
    from bench.cli.inspect import list_strategies

    raise typer.Exit(list_strategies(model or "bundled"))


@app.command()
def datasets(
    name: Annotated[
        str | None, typer.Argument(help="A known name or a folder.", metavar="[NAME]")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Also score this model by cosine, untrained.")
    ] = None,
) -> None:
    """List the known datasets, or describe one: sizes, label balance, baselines, examples."""
    from bench.cli.inspect import describe_dataset, list_datasets

    raise typer.Exit(describe_dataset(name, model) if name else list_datasets())
