"""The commands that look: leaderboard, report, strategies, datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from bench.anatomy import skeleton
from bench.cli.console import SUCCESS, out
from bench.data import Dataset, load_dataset
from bench.ledger import Ledger
from bench.location import Location
from bench.measure import count
from bench.metrics import accuracy
from bench.search.run import write_report
from bench.source import locate
from bench.sources import KNOWN, SPLITS
from bench.space import UNKNOWN_STRATEGY, installed_spaces
from bench.strategy import Strategy, installed_strategies
from bench.task import Columns, known_task
from bench.zero_shot import cosine_accuracy
from reports import show
from reports.escape import plain
from reports.text.terminal import leaderboard_view

EXAMPLES = 3


def show_leaderboard(folder: Location, sort: str | None) -> int:
    """Prints the leaderboard of a run folder."""
    out.print(leaderboard_view(Ledger(folder).run(), sort))
    return SUCCESS


def rewrite_report(folder: Location) -> int:
    """Writes the report of a run folder from its records."""
    ledger = Ledger(folder)
    ledger.run()  # told before anything is made in a folder that is none of ours
    with ledger.lock():
        write_report(ledger, ledger.run())
    path = ledger.report_folder / "report.html"
    out.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)
    return SUCCESS


def list_strategies(model: str) -> int:
    """Prints every installed strategy with its knobs and what it would train of a model."""
    config = locate(model).config()
    table = Table(
        title=f"trained parameters on {plain(model)}, head included", title_justify="left"
    )
    table.add_column("strategy", style="bold")
    table.add_column("trained", justify="right")
    table.add_column("knobs (searched in)")
    table.add_column("paper", overflow="fold")
    found = installed_strategies()
    for name, kind in found.found.items():
        strategy = kind()
        reason = strategy.refuse(config)
        head = int(config.hidden_size) + 1
        trained = "refused" if reason else show.count(_trained(strategy, config) + head)
        lines = _knobs(strategy) if reason is None else [reason]
        told = Text("\n".join(map(plain, lines)))
        table.add_row(Text(plain(name)), trained, told, Text(plain(kind.paper)))
    out.print(table)
    for error in (*found.broken, *installed_spaces().broken):
        out.print(plain(str(error)), markup=False, highlight=False)
    return SUCCESS


def _trained(strategy: Strategy, config: object) -> int:
    adapted = strategy.adapt(skeleton(config))  # type: ignore[arg-type]
    return count(parameter for parameter in adapted.parameters() if parameter.requires_grad)


def _knobs(strategy: Strategy) -> list[str]:
    space = installed_spaces().found.get(strategy.name, UNKNOWN_STRATEGY)
    fixed = [
        f"{name} = {value}" for name, value in strategy.knobs.items() if name not in space.knobs
    ]
    searched = [f"{name}: {dimension}" for name, dimension in sorted(space.knobs.items())]
    return [*searched, *fixed]


def list_datasets() -> int:
    """Prints the names that are known without a folder."""
    for name in KNOWN:
        out.print(name)
    others = "or a folder of {train,validation,test}.{csv,jsonl}, one such file, or owner/name"
    out.print(f"{others} of the Hub", markup=False, highlight=False)
    return SUCCESS


def describe_dataset(
    name: str,
    model: str | None,
    task: str | None,
    columns: Mapping[str, str | None],
) -> int:
    """Prints sizes, shares of the answers, baselines and examples of a dataset.

    Raises:
        InputError: there is no such dataset or task.
    """
    kind = known_task(task) if task else None
    dataset = load_dataset(name, task=kind, columns=Columns(**columns))
    out.print(_splits(dataset))
    for notice in dataset.notices:
        out.print(plain(notice), markup=False, highlight=False)
    if model:
        source = locate(model)
        for split in SPLITS[1:]:
            score = cosine_accuracy(source, dataset.task, dataset.splits[split])
            out.print(f"zero-shot cosine of {plain(source.name)} on {split}: {score:.3f}")
    for example in dataset.splits["train"][:EXAMPLES]:
        asked, answers = dataset.task.described(example)
        out.print(f"\n{plain(asked)}", markup=False, highlight=False)
        for index, answer in enumerate(answers):
            mark = "*" if index == dataset.task.answer(example) else " "
            out.print(f"  {mark} {plain(answer)}", markup=False, highlight=False)
    return SUCCESS


def _splits(dataset: Dataset) -> Table:
    """Size, shares of the answers and baselines of every split."""
    task, train = dataset.task, dataset.splits["train"]
    table = Table(title=f"{plain(dataset.name)}: {plain(task.name)}", title_justify="left")
    names = [baseline.name for baseline in task.baselines(train, train)]
    for heading in ("split", task.words.examples, task.words.answers, *names):
        table.add_column(heading)
    for split in SPLITS:
        answers = [task.answer(example) for example in dataset.splits[split]]
        counts = Counter(answers)
        balance = "  ".join(f"{counts[i] / len(answers):.2f}" for i in range(max(counts) + 1))
        scores = [
            accuracy(baseline.outcome(answers))
            for baseline in task.baselines(train, dataset.splits[split])
        ]
        table.add_row(split, str(len(answers)), balance, *(f"{score:.3f}" for score in scores))
    return table
