"""How a study is run, as a person asks for it; none of it changes a result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from bench.storage.locks import WHOLE, Share
from bench.units import Duration

AUTO: Final = "auto"
"""Instead of a number of GPUs: as small a part of one as a trial's memory asks for."""

Panel: TypeAlias = Literal["Data", "Model", "Search", "Training", "Where it runs", "Output"]
"""Heading under which ``--help`` shows an option."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How the command line shows a field; its help is the field's description.

    Attributes:
        panel: where.
        default: what stands there for the default, where it is not the value itself.
        metavar: what stands there for a value.
        option: its name, where it is not that of the field.
    """

    panel: Panel
    default: str | None = None
    metavar: str | None = None
    option: str | None = None


def shown(model: type[BaseModel], name: str) -> Shown | None:
    """How the command line shows a field; ``None`` of one that has no option."""
    found = model.model_fields[name].metadata
    return next((each for each in found if isinstance(each, Shown)), None)


def _gpus(asked: object) -> object:
    if asked is None or (isinstance(asked, str) and asked.strip() == AUTO):
        return asked and AUTO
    try:
        gpus = float(str(asked))
    except ValueError:
        gpus = math.nan
    if not 0 <= gpus < math.inf:
        raise ValueError(f"must be 0 or more, such as 0.5, or {AUTO}")
    return gpus


def _hours(asked: object) -> object:
    if isinstance(asked, int | float) and not 0 < asked < math.inf:
        raise ValueError("must be a number above 0 such as 1.5")
    return asked


def _duration(asked: object) -> object:
    return Duration.of(asked) if isinstance(asked, str) else asked


def _share(asked: object) -> object:
    return Share.parse(asked) if isinstance(asked, str) else asked


def _text(value: Any) -> str:
    return str(value)


Time = Annotated[Duration, BeforeValidator(_duration), PlainSerializer(_text)]
Part = Annotated[Share, BeforeValidator(_share), PlainSerializer(_text)]
WHERE: Final[Panel] = "Where it runs"


class RunOptions(BaseModel):
    """How a study is run: every field is an option of ``paretune sweep``."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    out: Annotated[
        str | None,
        Field(
            description="The run folder itself: a path, or s3://…, gs://… that all machines reach."
        ),
        Shown(panel="Output", default="runs/NAME"),
    ] = None
    cpus_per_trial: Annotated[
        float | None, Field(ge=0, description="Cores."), Shown(panel=WHERE, default="1")
    ] = None
    gpus_per_trial: Annotated[
        float | Literal["auto"] | None,
        BeforeValidator(_gpus),
        Field(description="GPUs, fractions allowed; auto shares each out by a trial's memory."),
        Shown(panel=WHERE, default="1 where there is one", metavar="NUMBER|auto"),
    ] = None
    workers: Annotated[
        int | None,
        Field(ge=1, description="Most trials at a time."),
        Shown(panel=WHERE, default="all that fit"),
    ] = None
    time_budget: Annotated[
        Time | None,
        Field(description="Search no longer than 90s, 30m, 2h, 1h30m or plain seconds."),
        Shown(panel="Search", metavar="TIME"),
    ] = None
    max_gpu_hours: Annotated[
        float | None,
        BeforeValidator(_hours),
        Field(description="Search no longer than so many hours times GPUs."),
        Shown(panel="Search"),
    ] = None
    max_retries: Annotated[
        int,
        Field(ge=0, description="Times a trial is tried again after its worker died."),
        Shown(panel=WHERE),
    ] = 2
    trial_timeout: Annotated[
        Time | None,
        Field(description="End trials that take longer, such as 30m."),
        Shown(panel=WHERE, metavar="TIME"),
    ] = None
    address: Annotated[
        str | None,
        Field(description="An existing Ray cluster."),
        Shown(panel=WHERE, default="this machine"),
    ] = None
    insecure_cluster: Annotated[
        bool,
        Field(description="Join a cluster that asks for no token."),
        Shown(panel=WHERE, option="--insecure-cluster"),
    ] = False
    shard: Annotated[
        Part,
        Field(
            description="Run the I-th of N shares of the search, beside commands that run the"
            " others."
        ),
        Shown(panel=WHERE, metavar="I/N"),
    ] = WHOLE
    supervise: Annotated[
        bool,
        Field(description="Start again whenever the sweep's process dies."),
        Shown(panel=WHERE, option="--supervise"),
    ] = False
    fresh_workers: Annotated[
        bool,
        Field(description="A new process for every trial."),
        Shown(panel=WHERE, option="--fresh-workers"),
    ] = False
    track: Annotated[
        tuple[str, ...],
        Field(description="Show trials in mlflow, wandb or tensorboard; also several."),
        Shown(panel="Output", metavar="TRACKER"),
    ] = ()
    dry_run: Annotated[
        bool,
        Field(description="Check everything, show the plan, run nothing."),
        Shown(panel="Output", option="--dry-run"),
    ] = False
    as_json: Annotated[
        bool,
        Field(description="Print one JSON document instead."),
        Shown(panel="Output", option="--json"),
    ] = False

    @property
    def without_budget(self) -> RunOptions:
        """The same for what follows the search, which no budget ends."""
        return self.model_copy(update={"time_budget": None, "max_gpu_hours": None})
