"""The commands that look: leaderboard, report, strategies, datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text
from transformers import PretrainedConfig

from bench.anatomy import is_causal, skeleton
from bench.cli.console import SUCCESS, out
from bench.data import KNOWN, SPLITS, baselines, load_dataset
from bench.errors import ModelError, StudyError, TrialRefused
from bench.ledger import Ledger
from bench.location import Location
from bench.measure import count
from bench.questions import Question
from bench.search.run import write_report
from bench.source import ModelSource, locate
from bench.space import find_space, installed_spaces
from bench.strategy import Strategy, find_strategy, installed_families, installed_strategies
from bench.zero_shot import cosine_accuracy, likelihood_accuracy
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
    out.print("or a folder of {train,validation,test}.jsonl", markup=False, highlight=False)
    return SUCCESS


def _print_zero_shot(source: ModelSource, questions: Sequence[Question], split: str) -> None:
    """Scores before any training; that one of a decoder cannot be had is told, the rest can."""
    score = f"{cosine_accuracy(source, questions):.3f}"
    out.print(f"zero-shot cosine of {plain(source.name)} on {split}: {score}")
    if not is_causal(source.config()):
        return
    told = f"zero-shot likelihood of {plain(source.name)} on {split}"
    try:
        score = f"{likelihood_accuracy(source, questions):.3f}"
    except ModelError as error:
        score = f"none ({plain('; '.join(error.problems))})"
    out.print(f"{told}: {score}", highlight=False, markup=False, soft_wrap=True)


def describe_dataset(name: str, model: str | None) -> int:
    """Prints sizes, label balance, baselines and examples of a dataset."""
    dataset = load_dataset(name)
    table = Table(title=plain(dataset.name), title_justify="left")
    for heading in ("split", "questions", "right choice is first, second, …", "random", "constant",
                    "longest"):  # fmt: skip
        table.add_column(heading)
    for split in SPLITS:
        questions = dataset.splits[split]
        places = Counter(question.answer for question in questions)
        balance = "  ".join(f"{places[i] / len(questions):.2f}" for i in range(max(places) + 1))
        scores = baselines(dataset.splits["train"], questions)
        figures = [f"{s:.3f}" for s in (scores.random, scores.constant, scores.longest)]
        table.add_row(split, str(len(questions)), balance, *figures)
    out.print(table)
    for notice in dataset.notices:
        out.print(plain(notice), markup=False, highlight=False)
    if model:
        source = locate(model)
        for split in SPLITS[1:]:
            _print_zero_shot(source, dataset.splits[split], split)
    for question in dataset.splits["train"][:EXAMPLES]:
        out.print(f"\n{plain(question.text)}", markup=False, highlight=False)
        for index, choice in enumerate(question.choices):
            mark = "*" if index == question.answer else " "
            out.print(f"  {mark} {plain(choice)}", markup=False, highlight=False)
    return SUCCESS
