"""The command ``paretune datasets``: what is known, or one dataset described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from bench.anatomy import is_causal
from bench.cli.console import SUCCESS, out
from bench.data.load import Dataset, load_dataset
from bench.data.sources import KNOWN, SPLITS
from bench.errors import ModelError
from bench.metrics import accuracy
from bench.pretrained.source import ModelSource, locate
from bench.task import AnyTask, Columns, Example, known_task
from bench.training.zero_shot import cosine_accuracy, likelihood_accuracy
from reports.escape import plain

EXAMPLES = 3


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
