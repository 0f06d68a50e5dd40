"""The commands that work on a cluster from a distance, and their options.

A function may be longer than others because Typer reads a command's options from its signature: it
has one parameter per option, and what it does with them fits on a screen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import InsecureCluster

LAUNCH = """Examples:

  paretune launch thorough --cluster ray_cluster.yaml

  paretune launch study.yaml --cluster http://127.0.0.1:8265 --out /shared/runs/study --detach

  paretune launch study.yaml --cluster ray_cluster.yaml -- --trials 20 --gpus-per-trial 0.5"""

ATTACH = """Examples:

  paretune attach

  paretune attach study-20260131-120000 --cluster ray_cluster.yaml"""

FETCH = """Examples:

  paretune fetch

  paretune fetch study-20260131-120000 --cluster ray_cluster.yaml --to runs/study --checkpoints"""

Job = Annotated[
    str | None, typer.Argument(help="Name of a job; the latest if none is named.", metavar="[JOB]")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="A cluster file of Ray's, or the address of a job server.",
        metavar="FILE|ADDRESS",
        show_default="that of the last launch",
    ),
]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines on a terminal too.")]


def launch(  # noqa: PLR0913 - one parameter per option
    study: Annotated[
        str, typer.Argument(metavar="STUDY.yaml|PRESET", help="What to run, as of sweep.")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- OPTIONS]", help="Further options of sweep, after a --."),
    ] = None,
    cluster: Annotated[
        str,
        typer.Option(
            help="A cluster file of Ray's, or the address of a job server.", metavar="FILE|ADDRESS"
        ),
    ] = ...,  # type: ignore[assignment]
    out: Annotated[
        str | None,
        typer.Option(
            help="The run folder, on storage that all machines of the cluster see.",
            metavar="PATH|URI",
            show_default="~/paretune-runs/NAME on the head",
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy/--no-copy",
            help="Take folders of model and dataset along, or not: the cluster sees them too.",
        ),
    ] = True,
    python: Annotated[
        str, typer.Option(help="Of the cluster, where paretune is installed.", metavar="PATH")
    ] = "python",
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the job.")] = False,
    plain: Plain = False,
    insecure_cluster: InsecureCluster = False,
) -> None:
    """Run a sweep on a cluster: its driver is there, and goes on without this machine.

    The same command again goes on where the run folder stands. Ctrl-C leaves the job alone.
    """
    from bench.cli.launch import Launch
    from bench.cli.launch import launch as run

    asked = Launch(
        study=study,
        cluster=cluster,
        out=out,
        copy=copy,
        python=python,
        insecure=insecure_cluster,
        detach=detach,
        as_lines=plain,
        words=tuple(words or ()),
    )
    raise typer.Exit(run(asked))


def attach(
    job: Job = None,
    cluster: Cluster = None,
    plain: Plain = False,
    insecure_cluster: InsecureCluster = False,
) -> None:
    """Show a job of a cluster from its beginning until it ends. Ctrl-C leaves the job alone.

    The exit code is that of its sweep.
    """
    from bench.cli.attach import attach as run

    raise typer.Exit(run(job, cluster, insecure=insecure_cluster, as_lines=plain))


def jobs(cluster: Cluster = None, insecure_cluster: InsecureCluster = False) -> None:
    """List the sweeps that were launched on a cluster."""
    from bench.cli.jobs import list_jobs

    raise typer.Exit(list_jobs(cluster, insecure=insecure_cluster))


def stop(
    job: Job = None, cluster: Cluster = None, insecure_cluster: InsecureCluster = False
) -> None:
    """End a job with a report of what there is. Launching the study again goes on."""
    from bench.cli.jobs import stop as run

    raise typer.Exit(run(job, cluster, insecure=insecure_cluster))


def fetch(
    job: Job = None,
    cluster: Cluster = None,
    to: Annotated[
        str | None, typer.Option(help="Where to.", metavar="FOLDER", show_default="runs/STUDY")
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Bring what the trials have trained too.")
    ] = False,
    insecure_cluster: InsecureCluster = False,
) -> None:
    """Bring the run folder of a job to this machine."""
    from bench.cli.fetch import fetch as run

    raise typer.Exit(run(job, cluster, to, checkpoints=checkpoints, insecure=insecure_cluster))


def pack(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    checkpoints: Annotated[bool, typer.Option("--checkpoints")] = False,
) -> None:
    """Print a run folder for ``fetch``."""
    from bench.cli.pack import pack as print_folder

    raise typer.Exit(print_folder(run, checkpoints=checkpoints))


def add_to(app: typer.Typer) -> None:
    """Adds them to the command line."""
    app.command(epilog=LAUNCH)(launch)
    app.command(epilog=ATTACH)(attach)
    app.command()(jobs)
    app.command()(stop)
    app.command(epilog=FETCH)(fetch)
    app.command(hidden=True)(pack)
