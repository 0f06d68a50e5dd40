"""The commands and their options; what a command does is in its own file, loaded when called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench import __version__
from bench.cli.console import out
from bench.cli.options import Run, Study, Trial, option, request_of, sweep_of
from bench.cli.supervise import is_supervised, supervise
from bench.errors import Faults
from bench.study.file import StudyFile
from bench.study.request import Request
from bench.study.run_options import RunOptions

SWEEP = """Examples:

  paretune sweep quick

  paretune sweep --dataset my_folder --strategies full,lora,adapter --trials 8

  paretune sweep --dataset reviews.csv --text-column body --label-column mood --objective macro_f1

  paretune sweep --strategies lora --set lora.rank=8 --set 'prompt.length={low: 1, high: 50}'

  paretune leaderboard runs/quick --sort trained_parameters"""

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

DOCTOR = """Examples:

  paretune doctor

  paretune doctor study.yaml --address auto --out /shared/runs/study"""

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

Json = Annotated[bool | None, option(RunOptions, "as_json")]
Insecure = Annotated[bool | None, option(RunOptions, "insecure_cluster")]
Address = Annotated[str | None, option(RunOptions, "address")]
Model = Annotated[str | None, option(StudyFile, "model")]
Dataset = Annotated[str | None, option(StudyFile, "dataset")]
Task = Annotated[str | None, option(StudyFile, "task")]
TextColumn = Annotated[str | None, option(StudyFile, "text_column")]
PairColumn = Annotated[str | None, option(StudyFile, "pair_column")]
LabelColumn = Annotated[str | None, option(StudyFile, "label_column")]
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
Base = Annotated[
    str | None,
    typer.Option(help="Where the base model lies now.", show_default="where it was"),
]

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


def _sweep(request: Request, faults: Faults) -> None:
    if request.options.supervise and not is_supervised():
        raise typer.Exit(supervise(sys.argv[1:]))
    from bench.cli.sweep import run_sweep

    raise typer.Exit(run_sweep(request, faults))


app.command("sweep", epilog=SWEEP)(sweep_of(_sweep))


@app.command(epilog=LAUNCH)
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
    insecure_cluster: Insecure = None,
) -> None:
    """Run a sweep on a cluster: its driver is there, and goes on without this machine.

    The same command again goes on where the run folder stands. Ctrl-C leaves the job alone.
    """
    from bench.cli.remote.launch import Launch
    from bench.cli.remote.launch import launch as run

    asked = Launch(
        study=study,
        cluster=cluster,
        out=out,
        copy=copy,
        python=python,
        insecure=bool(insecure_cluster),
        detach=detach,
        as_lines=plain,
        words=tuple(words or ()),
    )
    raise typer.Exit(run(asked))


@app.command(epilog=ATTACH)
def attach(
    job: Job = None,
    cluster: Cluster = None,
    plain: Plain = False,
    insecure_cluster: Insecure = None,
) -> None:
    """Show a job of a cluster from its beginning until it ends. Ctrl-C leaves the job alone.

    The exit code is that of its sweep.
    """
    from bench.cli.remote.jobs import attach as run

    raise typer.Exit(run(job, cluster, insecure=bool(insecure_cluster), as_lines=plain))


@app.command()
def jobs(cluster: Cluster = None, insecure_cluster: Insecure = None) -> None:
    """List the sweeps that were launched on a cluster."""
    from bench.cli.remote.jobs import list_jobs

    raise typer.Exit(list_jobs(cluster, insecure=bool(insecure_cluster)))


@app.command()
def stop(job: Job = None, cluster: Cluster = None, insecure_cluster: Insecure = None) -> None:
    """End a job with a report of what there is. Launching the study again goes on."""
    from bench.cli.remote.jobs import stop as run

    raise typer.Exit(run(job, cluster, insecure=bool(insecure_cluster)))


@app.command(epilog=FETCH)
def fetch(
    job: Job = None,
    cluster: Cluster = None,
    to: Annotated[
        str | None, typer.Option(help="Where to.", metavar="FOLDER", show_default="runs/STUDY")
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Bring what the trials have trained too.")
    ] = False,
    insecure_cluster: Insecure = None,
) -> None:
    """Bring the run folder of a job to this machine."""
    from bench.cli.remote.fetch import fetch as run

    raise typer.Exit(
        run(job, cluster, to, checkpoints=checkpoints, insecure=bool(insecure_cluster))
    )


@app.command(hidden=True)
def pack(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    checkpoints: Annotated[bool, typer.Option("--checkpoints")] = False,
) -> None:
    """Print a run folder for ``fetch``."""
    from bench.cli.remote.fetch import pack as print_folder

    raise typer.Exit(print_folder(run, checkpoints=checkpoints))


@app.command(epilog=DOCTOR)
def doctor(
    study: Study = None,
    address: Address = None,
    out: Annotated[
        str | None,
        option(
            RunOptions, "out", metavar="PLACE", help="Where results would go, a folder or a URI."
        ),
    ] = None,
    model: Model = None,
    dataset: Dataset = None,
    insecure_cluster: Insecure = None,
    as_json: Json = None,
) -> None:
    """Look whether a cluster, or this machine, is fit for a study; every fault with the way out.

    Nothing is run or kept. Exit code 2 if anything stands in the way of a sweep.
    """
    from bench.cli.doctor import show_examination

    given: dict[str, object] = {"model": model, "dataset": dataset, "address": address, "out": out}
    given |= {"insecure_cluster": insecure_cluster, "as_json": as_json}
    raise typer.Exit(show_examination(*request_of(study, None, given)))


@app.command(epilog=CONFIRM)
def confirm(
    run: Run,
    seeds: Annotated[
        int | None,
        typer.Option(help="Fresh seeds.", min=1, show_default="those of the run, or 5"),
    ] = None,
    max_retries: Annotated[
        int | None, option(RunOptions, "max_retries", show_default="as in the run")
    ] = None,
    trial_timeout: Annotated[
        str | None, option(RunOptions, "trial_timeout", show_default="as in the run")
    ] = None,
    address: Annotated[
        str | None, option(RunOptions, "address", show_default="as in the run")
    ] = None,
    insecure_cluster: Insecure = None,
    as_json: Json = None,
) -> None:
    """Run what a search has chosen again on fresh seeds, score it on test and report.

    To be called in the folder where the run was started. Nothing is searched any more; what is not
    asked for here is as in the run's own command.
    """
    from bench.cli.confirm import confirm_run

    given: dict[str, object] = {"max_retries": max_retries, "trial_timeout": trial_timeout}
    given["address"] = address
    given |= {"insecure_cluster": insecure_cluster, "as_json": as_json}
    raise typer.Exit(confirm_run(run, seeds, given))


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
        from bench.cli.leaderboard import watch_leaderboard

        raise typer.Exit(watch_leaderboard(run, sort, every))
    from bench.cli.leaderboard import show_leaderboard

    raise typer.Exit(show_leaderboard(run, sort))


@app.command()
def status(run: Run, as_json: Json = None) -> None:
    """Tell where a run stands: ended, failed, running or interrupted, and how it goes on."""
    from bench.cli.status import show_status

    raise typer.Exit(show_status(run, as_json=bool(as_json)))


@app.command()
def report(run: Run) -> None:
    """Write the report of a run again from its records."""
    from bench.cli.report import rewrite_report

    raise typer.Exit(rewrite_report(run))


@app.command()
def strategies(model: Model = None) -> None:
    """List the strategies: knobs, paper, and parameters trained on a model."""
    from bench.cli.strategies import list_strategies

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
    from bench.cli.datasets import describe_dataset, list_datasets

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
    as_json: Json = None,
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
    raise typer.Exit(show_recommendation(run, asked, as_json=bool(as_json)))


@app.command(epilog=COMPARE)
def compare(
    first: Run,
    second: Run,
    as_json: Json = None,
) -> None:
    """Set two runs side by side: what agrees, and what has drifted beyond noise.

    Exit code 1 if anything has drifted.
    """
    from bench.cli.compare import show_comparison

    raise typer.Exit(show_comparison(first, second, as_json=bool(as_json)))


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


@app.command(epilog=EXPORT)
def export(
    run: Run,
    trial: Trial,
    to: To,
    form: Form = "native",
    model: Base = None,
    as_json: Json = None,
) -> None:
    """Write what a trial has trained as files that other tools load, with a model card.

    What was written is loaded again and has to give the logits of the trial's own model.
    """
    from bench.cli.models.export import Wanted, export_trial

    wanted = Wanted(run=run, trial=trial, to=to, form=form, model=model, as_json=bool(as_json))
    raise typer.Exit(export_trial(wanted))


@app.command(epilog=PREDICT)
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
    model: Base = None,
    as_json: Json = None,
) -> None:
    """Answer the rows of a file: the predicted answer, and the probability of each.

    Computes in float32. Where the rows have right answers, accuracy and other metrics are told.
    """
    from bench.cli.models.predict import RowsToAnswer, predict_rows
    from bench.task import Columns

    columns = Columns(text=text_column, pair=pair_column, label=label_column)
    request = RowsToAnswer(
        export=export, data=data, to=out, columns=columns, model=model, as_json=bool(as_json)
    )
    raise typer.Exit(predict_rows(request))


@app.command(epilog=TRAIN)
def train(
    run: Run,
    trial: Trial,
    to: To,
    form: Form = "native",
    seed: Annotated[
        int | None, typer.Option(help="Of everything drawn.", min=0, show_default="the trial's")
    ] = None,
    model: Base = None,
    dataset: Annotated[
        str | None, typer.Option(help="Where the data lies now.", show_default="where it was")
    ] = None,
    as_json: Json = None,
) -> None:
    """Train the configuration of a trial on training and validation examples, and export it.

    For as many epochs as after which the trial was best, on its learning-rate schedule. No test
    example is learnt from.
    """
    from bench.cli.models.export import Wanted
    from bench.cli.models.train import train_trial

    wanted = Wanted(run=run, trial=trial, to=to, form=form, model=model, as_json=bool(as_json))
    raise typer.Exit(train_trial(wanted, seed, dataset))
