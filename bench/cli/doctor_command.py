"""The options of ``paretune doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import InsecureCluster, Json, Model

DOCTOR = """Examples:

  paretune doctor

  paretune doctor study.yaml --address auto --out /shared/runs/study"""


def doctor(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY.yaml]", help="A study file, or a preset.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="An existing Ray cluster.", show_default="this machine")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Where results would go, a folder or a URI.",
            metavar="PLACE",
            show_default="runs/NAME",
        ),
    ] = None,
    model: Model = None,
    dataset: Annotated[
        str | None, typer.Option(help="As of sweep.", show_default="elementary")
    ] = None,
    insecure_cluster: InsecureCluster = False,
    as_json: Json = False,
) -> None:
    """Look whether a cluster, or this machine, is fit for a study; every fault with the way out.

    Nothing is run or kept. Exit code 2 if anything stands in the way of a sweep.
    """
    from bench.cli.doctor import Subject, show_examination

    subject = Subject(
        study=study,
        overrides={key: value for key, value in (("model", model), ("dataset", dataset)) if value},
        place=out,
    )
    raise typer.Exit(
        show_examination(subject, address, insecure_cluster=insecure_cluster, as_json=as_json)
    )
