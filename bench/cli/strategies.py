"""The command ``paretune strategies``: what is installed, and what it would train of a model."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text
from transformers import PretrainedConfig

from bench.anatomy import skeleton
from bench.cli.console import SUCCESS, out
from bench.errors import StudyError, TrialRefused
from bench.pretrained.source import locate
from bench.space import find_space, installed_spaces
from bench.strategy import Strategy, find_strategy, installed_families, installed_strategies
from bench.training.measure import count
from reports import show
from reports.escape import plain


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
