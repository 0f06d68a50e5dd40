"""The commands that look: leaderboard, report, strategies, datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text
from transformers import PretrainedConfig

from bench.anatomy import is_causal, skeleton
from bench.cli.console import SUCCESS, out
from bench.data.load import Dataset, load_dataset
from bench.data.sources import KNOWN, SPLITS
from bench.errors import ModelError, StudyError, TrialRefused
from bench.metrics import accuracy
from bench.pretrained.source import ModelSource, locate
from bench.space import find_space, installed_spaces
from bench.storage.files import Location
from bench.storage.ledger import Ledger
from bench.strategy import Strategy, find_strategy, installed_families, installed_strategies
from bench.task import AnyTask, Columns, Example, known_task
from bench.training.measure import count
from bench.training.zero_shot import cosine_accuracy, likelihood_accuracy
from bench.tune.run import write_report
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
    groups = (installed_strategies(), installed_families(), installed_spaces())
    notes = [str(error) for group in groups for error in group.broken]
    for name in [*installed_strategies().found, *_of_families(notes)]:
        strategy = find_strategy(name)()
        reason = strategy.refuse(config)
        trained = "refused" if reason else _trained(strategy, config)
        lines = _knobs(strategy) if reason is None else [reason]
        told = Text("\n".join(map(plain, lines)))
        table.add_row(Text(plain(name)), trained, told, Text(plain(strategy.paper)))
    out.print(table)
    for note in notes:
        out.print(plain(note), markup=False, highlight=False)
    return SUCCESS


def _of_families(notes: list[str]) -> Iterator[str]:
    """The strategies of families that have a search space; notes tell of the others."""
    spaces = installed_spaces().found
    for family, found in installed_families().found.items():
        try:
            names = [f"{family}:{name}" for name in found.names()]
        except StudyError as error:
            notes.extend(error.problems)
            continue
        yield from (name for name in names if name in spaces)
        others = ", ".join(name for name in names if name not in spaces)
        notes.append(f"with the learning rate alone searched: {others}")


def _trained(strategy: Strategy, config: PretrainedConfig) -> str:
    """How many parameters train, head included, where that can be told without weights."""
    try:
        adapted = strategy.adapt(skeleton(config))
    except TrialRefused:
        return "needs weights"
    head = int(config.hidden_size) + 1
    return show.count(count(p for p in adapted.parameters() if p.requires_grad) + head)


def _knobs(strategy: Strategy) -> list[str]:
    space = find_space(strategy.name)
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


def _print_zero_shot(
    source: ModelSource, task: AnyTask, examples: Sequence[Example], split: str
) -> None:
    """Scores before any training; that one of a decoder cannot be had is told, the rest can."""
    score = f"{cosine_accuracy(source, task, examples):.3f}"
    out.print(f"zero-shot cosine of {plain(source.name)} on {split}: {score}")
    if not is_causal(source.config()):
        return
    told = f"zero-shot likelihood of {plain(source.name)} on {split}"
    try:
        score = f"{likelihood_accuracy(source, task, examples):.3f}"
    except ModelError as error:
        score = f"none ({plain('; '.join(error.problems))})"
    out.print(f"{told}: {score}", highlight=False, markup=False, soft_wrap=True)


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
            _print_zero_shot(source, dataset.task, dataset.splits[split], split)
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
