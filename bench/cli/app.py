"""The commands of paretune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import __version__
from bench.cli import cluster_commands, export_commands
from bench.cli.console import out
from bench.cli.doctor_command import DOCTOR, doctor
from bench.cli.options import (
    InsecureCluster,
    Json,
    LabelColumn,
    Model,
    PairColumn,
    Run,
    Task,
    TextColumn,
)
from bench.cli.sweep_command import EPILOG, sweep

CONFIRM = """Examples:

  paretune confirm runs/quick

  paretune confirm runs/quick --seeds 10"""

LEADERBOARD = """Examples:

  paretune leaderboard runs/quick --sort trained_parameters

  paretune leaderboard runs/quick --watch --every 10s"""

RECOMMEND = """Examples:

  paretune recommend runs/quick

  paretune recommend runs/quick --max-parameters 300k --max-ms 5 --max-bytes 5MB

  paretune recommend runs/quick --min-accuracy 0.6 --json"""

COMPARE = """Examples:

  paretune compare runs/before runs/after

  paretune compare runs/laptop runs/cluster --json"""

DASHBOARD = """Examples:

  paretune dashboard runs/quick --port 8081

  paretune dashboard runs/quick --export-only quick.db"""

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


app.command(epilog=EPILOG)(sweep)
cluster_commands.add_to(app)
app.command(epilog=DOCTOR)(doctor)


@app.command(epilog=CONFIRM)
def confirm(
    run: Run,
    seeds: Annotated[
        int | None,
        typer.Option(help="Fresh seeds.", min=1, show_default="those of the run, or 5"),
    ] = None,
    max_retries: Annotated[
        int | None, typer.Option(help="As of sweep.", min=0, show_default="those of the run")
    ] = None,
    trial_timeout: Annotated[
        str | None,
        typer.Option(help="As of sweep.", metavar="TIME", show_default="that of the run"),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="As of sweep.", show_default="that of the run")
    ] = None,
    insecure_cluster: InsecureCluster = False,
    as_json: Json = False,
) -> None:
    """Run what a search has chosen again on fresh seeds, score it on test and report.

    To be called in the folder where the run was started. Nothing is searched any more; what is not
    asked for here is as in the run's own command.
    """
    from bench.cli.confirm import confirm_run

    raise typer.Exit(
        confirm_run(
            run,
            seeds,
            max_retries=max_retries,
            trial_timeout=trial_timeout,
            address=address,
            insecure_cluster=insecure_cluster or None,
            as_json=as_json,
        )
    )


@app.command(epilog=LEADERBOARD)
def leaderboard(
    run: Run,
    sort: Annotated[
        str | None, typer.Option(help="A column, such as trained_parameters or inference_ms_p50.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until the run's command ends, or Ctrl-C.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            help="Time between looks; implies --watch.", metavar="TIME", show_default="2s"
        ),
    ] = None,
) -> None:
    """Print the leaderboard of a run."""
    if watch or every:
        from bench.cli.watch_board import watch_leaderboard

        raise typer.Exit(watch_leaderboard(run, sort, every))
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
    task: Task = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
) -> None:
    """List the known datasets, or describe one: sizes, shares of answers, baselines, examples."""
    from bench.cli.inspect import describe_dataset, list_datasets

    columns = {"text": text_column, "pair": pair_column, "label": label_column}
    raise typer.Exit(describe_dataset(name, model, task, columns) if name else list_datasets())


@app.command(epilog=RECOMMEND)
def recommend(
    run: Run,
    max_parameters: Annotated[
        str | None, typer.Option(help="Most trained parameters: 300k, 1.2M.", metavar="COUNT")
    ] = None,
    max_ms: Annotated[
        str | None, typer.Option(help="Most milliseconds per example, median.", metavar="MS")
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option(help="Most bytes to store: 5MB, 5MiB.", metavar="SIZE")
    ] = None,
    min_accuracy: Annotated[
        str | None,
        typer.Option(help="Take the smallest that reaches this test accuracy.", metavar="SHARE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Name the best tested configuration under limits, and how to train it.

    Exit code 1 if none fits.
    """
    from bench.cli.recommend import show_recommendation

    asked = {
        "--max-parameters": max_parameters,
        "--max-ms": max_ms,
        "--max-bytes": max_bytes,
        "--min-accuracy": min_accuracy,
    }
    raise typer.Exit(show_recommendation(run, asked, as_json=as_json))


@app.command(epilog=COMPARE)
def compare(
    first: Run,
    second: Run,
    as_json: Json = False,
) -> None:
    """Set two runs side by side: what agrees, and what has drifted beyond noise.

    Exit code 1 if anything has drifted.
    """
    from bench.cli.compare import show_comparison

    raise typer.Exit(show_comparison(first, second, as_json=as_json))


@app.command(epilog=DASHBOARD)
def dashboard(
    run: Run,
    port: Annotated[int, typer.Option(help="Of this machine; 0 takes one that is free.")] = 8080,
    export_only: Annotated[
        Path | None, typer.Option(help="Write the SQLite file there and end.", metavar="FILE")
    ] = None,
) -> None:
    """Show the trials of a run in Optuna's dashboard, on this machine alone."""
    from bench.cli.dashboard import show_dashboard

    raise typer.Exit(show_dashboard(run, port, export_only))


export_commands.add_to(app)
