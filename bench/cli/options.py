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
InsecureCluster = Annotated[
    bool, typer.Option("--insecure-cluster", help="Join a cluster that asks for no token.")
]
