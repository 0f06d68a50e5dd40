"""The commands by which a trial leaves its run, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Json, Run

EXPORT = """Examples:

  paretune export runs/quick best --to my_model

  paretune export runs/quick lora-006 --to my_adapter --format peft

  paretune export runs/quick lora-006-seed1001 --to my_model --format merged"""

PREDICT = """Examples:

  paretune predict my_model questions.jsonl

  paretune predict my_model questions.jsonl --out answers.csv

  paretune predict my_model reviews.csv --text-column body --out answers.csv

A row is one of a dataset; without a right answer it is answered all the same."""

TRAIN = """Examples:

  paretune train runs/quick best --to my_model

  paretune train runs/quick lora-006 --to my_adapter --format peft --seed 7"""

Trial = Annotated[
    str,
    typer.Argument(
        help="Name of a trial in reports, or best for what recommend names.", metavar="TRIAL"
    ),
]
To = Annotated[Path, typer.Option(help="The folder to write; new or empty.", metavar="FOLDER")]
Form = Annotated[
    str,
    typer.Option(
        "--format",
        help="native (paretune loads it), peft (an adapter and the head) or merged (a whole model"
        " of transformers).",
        metavar="native|peft|merged",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="Where the base model lies now.", show_default="where it was"),
]


def export(
    run: Run,
    trial: Trial,
    to: To,
    form: Form = "native",
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Write what a trial has trained as files that other tools load, with a model card.

    What was written is loaded again and has to give the logits of the trial's own model.
    """
    from bench.cli.export import Wanted, export_trial

    wanted = Wanted(run=run, trial=trial, to=to, form=form, model=model, as_json=as_json)
    raise typer.Exit(export_trial(wanted))


def predict(
    export: Annotated[
        Path, typer.Argument(help="A folder that export or train wrote.", metavar="EXPORT")
    ],
    data: Annotated[
        Path, typer.Argument(help="Rows as of a dataset: .jsonl, .csv or .tsv.", metavar="DATA")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File for the answers: .csv or .jsonl.", show_default="printed"),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the text.", show_default="as in training")
    ] = None,
    pair_column: Annotated[
        str | None, typer.Option(help="Column of a second text.", show_default="as in training")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the label.", show_default="as in training")
    ] = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Answer the rows of a file: the predicted answer, and the probability of each.

    Computes in float32. Where the rows have right answers, accuracy and other metrics are told.
    """
    from bench.cli.predict import Request, predict_rows
    from bench.task import Columns

    columns = Columns(text=text_column, pair=pair_column, label=label_column)
    request = Request(
        export=export, data=data, to=out, columns=columns, model=model, as_json=as_json
    )
    raise typer.Exit(predict_rows(request))


def train(
    run: Run,
    trial: Trial,
    to: To,
    form: Form = "native",
    seed: Annotated[
        int | None, typer.Option(help="Of everything drawn.", min=0, show_default="the trial's")
    ] = None,
    model: Model = None,
    dataset: Annotated[
        str | None, typer.Option(help="Where the data lies now.", show_default="where it was")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train the configuration of a trial on training and validation examples, and export it.

    For as many epochs as after which the trial was best, on its learning-rate schedule. No test
    example is learnt from.
    """
    from bench.cli.export import Wanted
    from bench.cli.train import train_trial

    wanted = Wanted(run=run, trial=trial, to=to, form=form, model=model, as_json=as_json)
    raise typer.Exit(train_trial(wanted, seed, dataset))


def add_to(app: typer.Typer) -> None:
    """Adds them to the command line."""
    app.command(epilog=EXPORT)(export)
    app.command(epilog=PREDICT)(predict)
    app.command(epilog=TRAIN)(train)
