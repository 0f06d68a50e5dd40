"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bench.storage.files import location

Model = Annotated[
    str | None, typer.Option(help="bundled, a Hub id or a folder.", show_default="bundled")
]
Run = Annotated[
    Any, typer.Argument(help="A run folder, or its s3://… address.", metavar="RUN", parser=location)
]
"""A ``Location``, which Typer does not know."""

GradientCheckpointing = Annotated[
    bool | None,
    typer.Option(
        "--gradient-checkpointing/--no-gradient-checkpointing",
        help="Compute each block again for its gradients: less memory, more time.",
        show_default="--no-gradient-checkpointing",
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Train and answer by what torch.compile makes of the model.",
        show_default="--no-compile",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
InsecureCluster = Annotated[
    bool, typer.Option("--insecure-cluster", help="Join a cluster that asks for no token.")
]
Task = Annotated[
    str | None,
    typer.Option(
        help="multiple_choice, sequence_classification or one that is installed.",
        show_default="found from the rows",
    ),
]
TextColumn = Annotated[
    str | None, typer.Option(help="Column of the text.", show_default="text, or a usual name")
]
PairColumn = Annotated[
    str | None,
    typer.Option(help="Column of a second text.", show_default="text_pair, if there"),
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Column of the label.", show_default="label, or a usual name")
]
Objective = Annotated[
    str | None,
    typer.Option(
        help="What is searched: accuracy, macro_f1, matthews or calibration_error.",
        show_default="accuracy",
    ),
]
