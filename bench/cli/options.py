"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str | None, typer.Option(help="bundled, a Hub id or a folder.", show_default="bundled")
]
Run = Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
MaxRetries = Annotated[
    int, typer.Option(help="Times a trial is tried again after its worker died.", min=0)
]
TrialTimeout = Annotated[
    str | None, typer.Option(help="End trials that take longer, such as 30m.", metavar="TIME")
]
Address = Annotated[
    str | None, typer.Option(help="An existing Ray cluster.", show_default="this machine")
]
InsecureCluster = Annotated[
    bool, typer.Option("--insecure-cluster", help="Join a cluster that asks for no token.")
]
