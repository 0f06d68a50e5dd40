"""A study: what a person asks for, checked whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from bench.errors import Faults, StudyError
from bench.metrics import ACCURACY, METRICS
from bench.plugins import ARM_NAME, NAME, file_name
from bench.records.spec import MicroBatch, Pooling, Precision, TrainSettings
from bench.records.study_record import Halving
from bench.space import find_space, installed_spaces
from bench.strategy import find_strategy, installed_families, installed_strategies
from bench.study.arm import Arm, make_arm
from bench.study.run_options import Shown
from bench.task import AnyTask, Columns, installed_tasks, known_task

MOST_BYTES = 1 << 20
"""Of a study file."""

STRATEGIES = "strategies."


@dataclass(frozen=True, kw_only=True)
class StudyText:
    """See the module.

    Attributes:
        name: of the file; empty if there is none.
        content: value per key.
        lines: line per key, keys of keys with a dot, such as ``strategies.lora.rank``.
    """

    name: str = ""
    content: dict[str, Any]
    lines: dict[str, int]

    def without(self, typed: Iterable[str]) -> StudyText:
        """The same text, which is not to blame for keys that were typed as options."""
        names = tuple(typed)
        lines = {
            key: line
            for key, line in self.lines.items()
            if not any(key == name or key.startswith(f"{name}.") for name in names)
        }
        return replace(self, lines=lines)

    def located(self, problem: str) -> str:
        """A fault that begins with a key, with file and line before it if the key stands there.

        Keys below ``strategies`` may be named by themselves.
        """
        key = re.split(r" = |: ", problem)[0]
        while key:
            line = self.lines.get(key) or self.lines.get(STRATEGIES + key)
            if line is not None:
                return f"{self.name}:{line}: {problem}"
            key = key.rpartition(".")[0]
        return problem


NO_TEXT = StudyText(content={}, lines={})


def read_study_text(path: Path) -> StudyText:
    """Reads a YAML file that holds a mapping.

    Raises:
        StudyError: it cannot be read, is no such file, or has a key twice.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise StudyError(f"{path}: {size} bytes, allowed {MOST_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        content = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[str, int] = {}
        twice: list[str] = []
        _walk(root, "", lines, twice, set())
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise StudyError(f"{path}{_line(error)}: is no YAML ({_reason(error)})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise StudyError(f"{path}: must be a mapping of keys to values, such as trials: 4")
    if twice:
        raise StudyError(*(f"{path.name}:{fault}" for fault in twice))
    return StudyText(name=path.name, content=content, lines=lines)


def _walk(
    node: yaml.Node | None, prefix: str, lines: dict[str, int], twice: list[str], seen: set[int]
) -> None:
    """Notes the keys of a mapping and of those below it; an alias is looked at once."""
    if not isinstance(node, yaml.MappingNode) or id(node) in seen:
        return
    seen.add(id(node))
    own: set[str] = set()
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in own:
            twice.append(f"{line}: {prefix}{name}: stands twice; allowed once")
        own.add(name)
        lines.setdefault(f"{prefix}{name}", line)
        _walk(value, f"{prefix}{name}.", lines, twice, seen)


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    problem = getattr(error, "problem", None)
    return " ".join(str(problem or error).split())


ALL = "all"
Count = Annotated[int, Field(ge=1)]


class StudyFile(BaseModel):
    """The keys of a study YAML; each with a ``Shown`` is an option of ``paretune sweep`` too.

    Of ``strategies`` a file may give a list of names or settings per arm, see
    ``bench.study.arm.make_arm``: an arm whose name is no strategy names one under ``strategy``.
    Those without an option are training settings, see ``TrainSettings``.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Annotated[str | None, Field(description="Name of the study."), Shown(panel="Output")] = (
        None
    )
    model: Annotated[
        str, Field(description="bundled, a Hub id or a folder."), Shown(panel="Model")
    ] = "bundled"
    dataset: Annotated[
        str,
        Field(
            description="A known name (see `paretune datasets`), owner/name of the Hub, a folder of"
            " {train,validation,test}.{csv,jsonl}, or one such file, which is split."
        ),
        Shown(panel="Data"),
    ] = "elementary"
    task: Annotated[
        str | None,
        Field(description="multiple_choice, sequence_classification or one that is installed."),
        Shown(panel="Data", default="found from the rows"),
    ] = None
    text_column: Annotated[
        str | None,
        Field(description="Column of the text."),
        Shown(panel="Data", default="text, or a usual name"),
    ] = None
    pair_column: Annotated[
        str | None,
        Field(description="Column of a second text."),
        Shown(panel="Data", default="text_pair, if there"),
    ] = None
    label_column: Annotated[
        str | None,
        Field(description="Column of the label."),
        Shown(panel="Data", default="label, or a usual name"),
    ] = None
    objective: Annotated[
        str,
        Field(
            description="What is searched: accuracy, macro_f1, matthews or calibration_error;"
            " chooses the best epoch and orders reports."
        ),
        Shown(panel="Search"),
    ] = ACCURACY
    strategies: Annotated[
        str | list[str] | dict[str, dict[str, Any] | None],
        Field(description="Names with commas, or all."),
        Shown(panel="Search"),
    ] = ALL
    trials: Annotated[Count, Field(description="Trials per strategy."), Shown(panel="Search")] = 4
    epochs: Annotated[
        Count, Field(description="Passes over the training examples."), Shown(panel="Training")
    ] = 3
    batch_size: Annotated[
        Count, Field(description="Examples per step."), Shown(panel="Training")
    ] = 16
    micro_batch: Annotated[
        MicroBatch,
        Field(description="auto splits a batch that does not fit into memory."),
        Shown(panel="Training"),
    ] = "whole"
    max_length: Annotated[
        int, Field(ge=8, description="Tokens per sequence."), Shown(panel="Data")
    ] = 128
    train_limit: Annotated[
        Count | None, Field(description="Most training examples."), Shown(panel="Data")
    ] = None
    validation_limit: Annotated[
        Count | None, Field(description="Most validation examples."), Shown(panel="Data")
    ] = None
    test_limit: Annotated[
        Count | None, Field(description="Most test examples."), Shown(panel="Data")
    ] = None
    pooling: Annotated[Pooling, Field(description="cls, mean or last."), Shown(panel="Model")] = (
        "cls"
    )
    seed: Annotated[
        int, Field(ge=0, lt=2**31, description="Seed of everything."), Shown(panel="Search")
    ] = 0
    sampler: Annotated[
        Literal["tpe", "random"],
        Field(description="tpe learns from finished trials, random does not."),
        Shown(panel="Search"),
    ] = "tpe"
    confirm: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Fresh seeds for what is chosen, before the test; 0 tests the search's"
            " trials.",
        ),
        Shown(panel="Search"),
    ] = 5
    halving: Annotated[
        bool,
        Field(description="Stop trials that fall behind others of their strategy."),
        Shown(panel="Search"),
    ] = False
    reduction_factor: Annotated[
        int,
        Field(ge=2, description="Halving: one in so many goes on from a rung."),
        Shown(panel="Search"),
    ] = 2
    grace_epochs: Annotated[
        Count, Field(description="Halving: epochs before the first rung."), Shown(panel="Search")
    ] = 1
    precision: Annotated[
        Precision, Field(description="auto, fp32 or bf16."), Shown(panel="Training")
    ] = "auto"
    gradient_checkpointing: Annotated[
        bool,
        Field(description="Compute each block again for its gradients: less memory, more time."),
        Shown(panel="Training"),
    ] = False
    compile: Annotated[
        bool,
        Field(description="Train and answer by what torch.compile makes of the model."),
        Shown(panel="Training"),
    ] = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    head_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: object, info: ValidationInfo) -> object:
        """``true`` would pass for the number 1."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError("is a switch; a number or a text is needed")
        return value

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str | None) -> str | None:
        if name is not None and not NAME.fullmatch(name):
            raise ValueError(f"must match {NAME.pattern}")
        return name

    @field_validator("task")
    @classmethod
    def _known_task(cls, name: str | None) -> str | None:
        known = installed_tasks().found
        if name is not None and name not in known:
            raise ValueError(f"no such task; installed are {', '.join(known)}")
        return name

    @field_validator("objective")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"no such metric; there are {', '.join(METRICS)}")
        return name

    @property
    def columns(self) -> Columns:
        """The fields to read."""
        return Columns(text=self.text_column, pair=self.pair_column, label=self.label_column)

    @property
    def settings(self) -> TrainSettings:
        """The training settings among the keys."""
        return TrainSettings(**{f.name: getattr(self, f.name) for f in fields(TrainSettings)})

    @property
    def halving_rule(self) -> Halving | None:
        """How trials are stopped early; ``None`` if they are not."""
        if not self.halving:
            return None
        return Halving(reduction_factor=self.reduction_factor, grace_epochs=self.grace_epochs)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A checked study.

    Attributes:
        name: of the study.
        file: its keys, defaults filled in.
        arms: what is compared.
        left_out: plug-ins that could not be used.
    """

    name: str
    file: StudyFile
    arms: tuple[Arm, ...]
    left_out: tuple[str, ...]

    @property
    def task(self) -> type[AnyTask] | None:
        """What is learnt; ``None`` where the data tell."""
        return known_task(self.file.task) if self.file.task else None

    def planned(self, arm: Arm) -> int:
        """Trials of an arm: the budget, or fewer where the space holds fewer configurations."""
        return int(min(self.file.trials, arm.space.size))


def load_study(path: Path | None, overrides: Mapping[str, Any], sets: Sequence[str] = ()) -> Study:
    """Reads a study file, lays options over it and resolves every name.

    Args:
        path: YAML file; ``None`` for defaults alone.
        overrides: value per key, from options that were given.
        sets: ``arm.knob=value`` settings, values in YAML.

    Raises:
        StudyError: with one sentence per key, value or name that does not fit.
    """
    faults = Faults()
    study = check_study(path, overrides, sets, faults)
    faults.raise_any(StudyError)
    return study


def check_study(
    path: Path | None, overrides: Mapping[str, Any], sets: Sequence[str], faults: Faults
) -> Study:
    """As ``load_study``, but notes the faults and returns what is sound of the study.

    What has a fault is left at its default, so that model, data and folder can still be looked
    at and all faults told at once.
    """
    text = NO_TEXT
    with faults.gathered():
        text = read_study_text(path) if path else NO_TEXT
    keys: dict[str, Any] = {**text.content, **overrides}
    problems: list[str] = []
    try:
        file = StudyFile.model_validate(keys)
    except ValidationError as error:
        told = error.errors()
        problems = [_told(fault) for fault in told]
        wrong = {fault["loc"][0] for fault in told}
        file = StudyFile.model_validate({k: v for k, v in keys.items() if k not in wrong})
    problems += _without_rung(file)
    settings = _with_sets(_arm_settings(file.strategies), sets, problems)
    arms = _arms(settings, problems)
    file = file.model_copy(update={"strategies": settings})
    typed = [*overrides, *(f"{STRATEGIES}{option.partition('.')[0].strip()}" for option in sets)]
    faults.add(*map(text.without(typed).located, problems))
    name = file.name or (
        _label(path.stem) if path else f"{_label(file.dataset)}-{_label(file.model)}"
    )
    groups = (installed_strategies(), installed_families(), installed_spaces(), installed_tasks())
    broken = [error for group in groups for error in group.broken]
    return Study(name=name, file=file, arms=arms, left_out=tuple(map(str, broken)))


def _without_rung(file: StudyFile) -> list[str]:
    if not file.halving or file.grace_epochs < file.epochs:
        return []
    return [
        f"grace_epochs: no rung, since grace_epochs < epochs must hold, got grace_epochs ="
        f" {file.grace_epochs}, epochs = {file.epochs}; raise --epochs, lower --grace-epochs or"
        " leave trials alone with --no-halving"
    ]


def preset(name: str) -> Path:
    """The file of a study that comes with the package."""
    import search_spaces.presets

    return Path(next(iter(search_spaces.presets.__path__))) / f"{name}.yaml"


def study_path(name: str | None) -> Path | None:
    """A study file by path, or a preset by name.

    Raises:
        StudyError: there is neither.
    """
    if name is None:
        return None
    path = Path(name)
    if path.is_file() or path.suffix in {".yaml", ".yml"}:
        return path
    shipped = preset(name)
    if not shipped.exists():
        known = ", ".join(sorted(file.stem for file in shipped.parent.glob("*.yaml")))
        raise StudyError(f"{name}: is no file and no preset; presets are {known}")
    return shipped


def _arm_settings(strategies: str | list[str] | dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings per arm, whichever way the study lists its arms."""
    if isinstance(strategies, dict):
        return {name: dict(settings or {}) for name, settings in strategies.items()}
    names = strategies.split(",") if isinstance(strategies, str) else strategies
    names = [name.strip() for name in names]
    if ALL in names:
        names = list(installed_strategies().found)
    return {name: {} for name in names}


def _with_sets(
    arms: dict[str, dict[str, Any]], sets: Sequence[str], problems: list[str]
) -> dict[str, dict[str, Any]]:
    for text in sets:
        target, equals, value = text.partition("=")
        arm, dot, knob = target.strip().partition(".")
        if not (equals and dot and knob):
            problems.append(f"--set {text}: must be arm.knob=value, such as lora.rank=8")
        elif arm not in arms:
            problems.append(f"--set {text}: no arm {arm!r}; the study has {', '.join(arms)}")
        else:
            try:
                arms[arm][knob] = yaml.safe_load(value)
            except (yaml.YAMLError, ValueError):
                problems.append(f"--set {text}: {value!r} is no YAML value")
    return arms


def _arms(settings: Mapping[str, dict[str, Any]], problems: list[str]) -> tuple[Arm, ...]:
    arms: list[Arm] = []
    files: dict[str, str] = {}
    for name, asked in settings.items():
        given = dict(asked)
        kind = given.pop("strategy", name)
        if not ARM_NAME.fullmatch(name):
            problems.append(f"{name}: a name must match {ARM_NAME.pattern}")
            continue
        if (other := files.setdefault(file_name(name), name)) != name:
            problems.append(f"{name}: its files would be called as those of {other}; rename an arm")
        try:
            strategy = find_strategy(kind)
        except StudyError as error:
            problems.extend(f"{name}: {problem}" for problem in error.problems)
            continue
        try:
            arms.append(make_arm(name, strategy, find_space(strategy.name), given))
        except StudyError as error:
            problems.extend(error.problems)
    if not settings:
        problems.append("strategies: name at least one")
    return tuple(arms)


def _label(name: str) -> str:
    """A model's or dataset's name as part of a study's name."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in last).lstrip(".")
    return kept[:39] or "study"


def _told(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part not in {"str", "list[str]"})
    if fault["type"] == "extra_forbidden":
        keys = ", ".join(StudyFile.model_fields)
        return f"{place} = {fault['input']!r}: no such key; keys are {keys}"
    return f"{place} = {fault['input']!r}: {fault['msg']}"
