"""Options of the commands, made from the fields of ``StudyFile`` and ``RunOptions``."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from bench.errors import Faults
from bench.storage.files import location
from bench.study.file import StudyFile
from bench.study.request import Request, option_of, read_options
from bench.study.run_options import Panel, RunOptions, shown

Run = Annotated[
    Any, typer.Argument(help="A run folder, or its s3://… address.", metavar="RUN", parser=location)
]
"""A ``Location``, which Typer does not know."""

Trial = Annotated[
    str,
    typer.Argument(
        help="Name of a trial in reports, or best for what recommend names.", metavar="TRIAL"
    ),
]
Study = Annotated[
    str | None,
    typer.Argument(
        metavar="[STUDY.yaml]", help="A study file, or a preset: quick, reference, thorough."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="ARM.KNOB=VALUE",
        help="Fix a knob, or give it a range.",
        rich_help_panel="Search",
    ),
]


def option(model: type[BaseModel], name: str, **changes: Any) -> Any:
    """The option of a field, as Typer has it in ``Annotated``.

    Args:
        model: ``StudyFile`` or ``RunOptions``.
        name: of the field.
        **changes: arguments of ``typer.Option`` that differ for a command.
    """
    field, how = model.model_fields[name], shown(model, name)
    assert how is not None, f"{name} has no option"
    flag = option_of(name, how)
    default = how.default or ("" if field.default is None else str(field.default))
    if kind_of(model, name) is bool and how.option is None:
        off = flag.replace("--", "--no-", 1)
        flag, default = f"{flag}/{off}", off
    arguments = {
        "help": field.description,
        "metavar": how.metavar,
        "rich_help_panel": how.panel,
        "show_default": False if default in {"", "()", "False"} else default,
    }
    return typer.Option(flag, **{**arguments, **changes})


def kind_of(model: type[BaseModel], name: str) -> type:
    """What Typer reads a field's option as."""
    kinds = set(_kinds(model.model_fields[name].annotation))
    for kind in (bool, int, float):
        if kinds == {kind}:
            return kind
    return list[str] if tuple in kinds else str


def _kinds(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif origin is None:
        yield from () if annotation is NoneType else (annotation,)
    elif origin in {tuple, typing.Literal}:
        yield tuple if origin is tuple else str
    else:
        for inner in typing.get_args(annotation):
            yield from _kinds(inner)


def sweep_of(run: Callable[[Request, Faults], None]) -> Callable[..., None]:
    """The function of ``paretune sweep``: its signature has an option per field.

    Args:
        run: called with what was typed, and what is wrong with it so far.
    """

    def sweep(study: str | None, set_: list[str] | None, **given: Any) -> None:
        run(*request_of(study, set_, given))

    fields = [(model, name) for model in (StudyFile, RunOptions) for name in model.model_fields]
    parameters = [_parameter("study", Study)]
    for panel in typing.get_args(Panel):  # help shows panels as they come
        for model, name in fields:
            if (how := shown(model, name)) and how.panel == panel:
                kind: Any = kind_of(model, name)
                parameters.append(_parameter(name, Annotated[kind | None, option(model, name)]))
    parameters.append(_parameter("set_", Sets))
    sweep.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    sweep.__annotations__ = {each.name: each.annotation for each in parameters}
    sweep.__doc__ = SWEEP
    return sweep


SWEEP = """Search every strategy with the same budget, confirm what is best on fresh seeds, report.

The same command again goes on where the run folder stands. Options override the study file.
"""


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=None, annotation=annotation)


def request_of(
    study: str | None, sets: Sequence[str] | None, given: Mapping[str, Any]
) -> tuple[Request, Faults]:
    """What was typed, and what is wrong with how it is to be run.

    Args:
        study: study file or preset.
        sets: ``arm.knob=value`` settings.
        given: value per field of ``StudyFile`` and ``RunOptions``; ``None`` where none was typed.
    """
    faults = Faults()
    typed = {name: value for name, value in given.items() if value is not None}
    options = {name: typed[name] for name in RunOptions.model_fields if name in typed}
    keys = {name: typed[name] for name in StudyFile.model_fields if name in typed}
    request = Request(
        file=study, keys=keys, sets=tuple(sets or ()), options=read_options(options, faults)
    )
    return request, faults


def parsed(words: Sequence[str]) -> tuple[Request, Faults]:
    """What words after ``paretune sweep`` ask for; what is no option is a usage error."""
    from typer.main import get_command

    found: list[tuple[Request, Faults]] = []
    app = typer.Typer(add_completion=False)
    app.command("sweep")(sweep_of(lambda request, faults: found.append((request, faults))))
    parser = get_command(app)
    with parser.make_context("paretune sweep", [*words]) as context:  # it empties the list
        parser.invoke(context)
    return found[0]
