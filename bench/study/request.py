"""What a person asked for: a study and how to run it, as typed and as it can be asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import Faults, LedgerError
from bench.records.study_record import StudyRecord
from bench.study.file import Study, StudyFile, check_study, study_path
from bench.study.provenance import shown_command
from bench.study.run_options import RunOptions, Shown, shown

PRINTED = frozenset({"as_json", "dry_run", "shard"})
"""Options that change what one command prints or runs, not what the study is."""


class Request(BaseModel):
    """A study and how to run it.

    Attributes:
        file: study file or preset that was named; ``None`` without one.
        keys: value of every key of ``StudyFile`` that an option gives.
        sets: ``arm.knob=value`` settings.
        options: how it is run.
        study: every key as it was resolved, of a study that has been run: it stands for the three
            above, so that a file may change or go.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = None
    keys: dict[str, Any] = {}
    sets: tuple[str, ...] = ()
    options: RunOptions = RunOptions()
    study: dict[str, Any] | None = None

    @classmethod
    def recorded(cls, study: StudyRecord) -> Request:
        """What a run folder was asked to do, home folders in full.

        Raises:
            LedgerError: that cannot be read.
        """
        try:
            request = cls.model_validate(_each_text(study.request, _full))
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, ("request", *fault["loc"])))
            raise LedgerError(
                f"what the run was asked to do cannot be read: {place}: {fault['msg']}"
            ) from error
        missing = {"model", "dataset"} - (request.study or {}).keys()
        if missing:
            raise LedgerError(
                "what the run was asked to do cannot be read: request.study has no"
                f" {' and no '.join(sorted(missing))}"
            )
        return request

    def check(self, faults: Faults) -> Study:
        """The study as far as it is sound.

        Args:
            faults: told what is wrong with it.
        """
        if self.study is not None:
            return check_study(None, self.study, (), faults)
        path = None
        with faults.gathered():
            path = study_path(self.file)
        return check_study(path, self.keys, self.sets, faults)

    def to_json(self, study: Study) -> dict[str, Any]:
        """What ``study.json`` says of it; home folders as ``~``.

        Args:
            study: as it was resolved.
        """
        resolved = study.file.model_copy(update={"name": study.name})
        content = self.model_dump(mode="json", exclude={"study", "options"})
        content["options"] = self.options.model_dump(
            mode="json", exclude_unset=True, exclude=set(PRINTED)
        )
        content["study"] = resolved.model_dump(mode="json")
        hidden: dict[str, Any] = _each_text(content, _short)
        return hidden

    def changed(self, keys: Mapping[str, Any], options: Mapping[str, Any]) -> Request:
        """The same but for these keys of the study and these options."""
        given = {**self.options.model_dump(exclude_unset=True), **options}
        return self.model_copy(
            update={
                "keys": {**self.keys, **keys},
                "options": RunOptions.model_validate(given),
                "study": None if self.study is None else {**self.study, **keys},
            }
        )

    @property
    def words(self) -> list[str]:
        """What to type after ``paretune`` to ask for the same."""
        return self._words(frozenset())

    @property
    def command(self) -> str:
        """What to type to ask for the whole study, printed for people, as text."""
        return shown_command(self._words(PRINTED))

    def _words(self, left_out: frozenset[str]) -> list[str]:
        options = self.options.model_dump(mode="json", exclude_unset=True, exclude=set(left_out))
        words = ["sweep", *([self.file] if self.file else [])]
        for model, given in ((StudyFile, self.keys), (RunOptions, options)):
            if model is RunOptions:
                for text in self.sets:
                    words += ["--set", text]
            for name in model.model_fields:
                if name in given:
                    words += typed(model, name, given[name])
        return words


USUAL = Request()


def typed(model: type[BaseModel], name: str, value: object) -> list[str]:
    """An option as it is typed.

    Args:
        model: ``StudyFile`` or ``RunOptions``.
        name: of its field.
        value: to give it; ``None``, which cannot be typed, leaves it out.
    """
    if value is None:
        return []
    option = option_of(name, shown(model, name))
    if isinstance(value, bool):
        flag = option if value else option.replace("--", "--no-", 1)
        return [] if not value and model is RunOptions else [flag]
    values = value if isinstance(value, list | tuple) else [value]
    return [word for each in values for word in (option, str(each))]


def option_of(name: str, how: Shown | None) -> str:
    """The option of a field."""
    return how.option if how and how.option else f"--{name.replace('_', '-')}"


def read_options(given: Mapping[str, Any], faults: Faults) -> RunOptions:
    """Options by field, those that do not fit left at their defaults.

    Args:
        given: value per field.
        faults: told what is wrong with them.
    """
    try:
        return RunOptions.model_validate(given)
    except ValidationError as error:
        told = error.errors()
        for fault in told:
            name = str(fault["loc"][0])
            option = option_of(name, shown(RunOptions, name))
            faults.add(f"{option} {_number(given[name])}: {_reason(fault)}")
        wrong = {fault["loc"][0] for fault in told}
        return RunOptions.model_validate({k: v for k, v in given.items() if k not in wrong})


def _number(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def _reason(fault: Any) -> str:
    if fault["type"] == "greater_than_equal":
        return f"must be {fault['ctx']['ge']:g} or more"
    return str(fault["msg"]).removeprefix("Value error, ")


def _each_text(content: Any, change: Any) -> Any:
    """A JSON document with every text changed."""
    if isinstance(content, Mapping):
        return {name: _each_text(value, change) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_each_text(value, change) for value in content]
    return change(content) if isinstance(content, str) else content


def _short(text: str) -> str:
    home = str(Path.home())
    return f"~{text.removeprefix(home)}" if text == home or text.startswith(f"{home}/") else text


def _full(text: str) -> str:
    return str(Path(text).expanduser()) if text.startswith("~/") or text == "~" else text
