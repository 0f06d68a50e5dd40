"""An arm of a study: one strategy, the knobs the study fixes, and the knobs it searches."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bench.errors import PareTuneError, StudyError
from bench.space import LEARNING_RATE, Choice, Dimension, Integer, Space, Uniform, Value
from bench.strategy import Strategy, did_you_mean

RANGE_KEYS = frozenset({"low", "high", "log", "choices"})
UNIONS = (typing.Union, types.UnionType)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """See the module.

    Attributes:
        name: how reports call it; the strategy's name unless a study has several arms of one.
        strategy: the strategy's class.
        fixed: value per knob that is not searched and not the strategy's default.
        space: what is searched.
    """

    name: str
    strategy: type[Strategy]
    fixed: Mapping[str, Value]
    space: Space

    def build(self, values: Mapping[str, Value]) -> tuple[Strategy, float]:
        """The strategy instance and the learning rate of a drawn configuration."""
        knobs: dict[str, Any] = {**self.fixed, **values}
        learning_rate = float(knobs.pop(LEARNING_RATE))
        return self.strategy(**knobs), learning_rate

    def complete(self, start: Mapping[str, Value]) -> dict[str, Value]:
        """A start with a value for every searched knob.

        Those it does not name take the strategy's default, or the range's first value where the
        default lies outside.
        """
        wanted = {**self.strategy().knobs, **start}
        values: dict[str, Value] = {}
        for name, dimension in sorted(self.space.knobs.items()):
            value = wanted.get(name, dimension.ends[0])
            values[name] = value if dimension.holds(value) else dimension.ends[0]
        return values


def make_arm(
    name: str, strategy: type[Strategy], space: Space, settings: Mapping[str, object]
) -> Arm:
    """Applies what a study says of an arm to the strategy's own search space.

    Args:
        name: of the arm.
        strategy: its class.
        space: the strategy's search space.
        settings: per knob a value (fixed), ``{low, high, log}`` or ``{choices}`` (searched), and
            under ``start`` a list of configurations to try first.

    Raises:
        StudyError: with one sentence per knob that does not exist or does not fit.
    """
    types = _knob_types(strategy)
    asked = _asked(name, settings, types)
    fixed = {key: value for key, value in asked.items() if not isinstance(value, Dimension)}
    knobs = {key: dimension for key, dimension in space.knobs.items() if key not in fixed}
    knobs |= {key: value for key, value in asked.items() if isinstance(value, Dimension)}
    try:
        starts = _starts(settings.get("start"), space, knobs, fixed, types)
        arm = Arm(
            name=name, strategy=strategy, fixed=fixed, space=Space(knobs=knobs, starts=starts)
        )
    except (ValueError, StudyError) as error:
        raise StudyError(f"{name}.start: {_told(error)}") from error
    _check_buildable(arm)
    # Starts that come to the same configuration are one trial.
    different = {tuple(arm.complete(start).items()): start for start in starts}
    distinct = Space(knobs=knobs, starts=tuple(different.values()))
    return dataclasses.replace(arm, space=distinct)


def _asked(
    name: str, settings: Mapping[str, object], types: Mapping[str, object]
) -> dict[str, Value | Dimension]:
    """The value or range that a study gives each knob it names; every fault in one error."""
    problems: list[str] = []
    asked: dict[str, Value | Dimension] = {}
    for key, setting in settings.items():
        if key == "start":
            continue
        if key not in types:
            problems.append(f"{name}.{key} = {setting!r}: {_no_such_knob(name, key, types)}")
            continue
        try:
            if isinstance(setting, Mapping):
                asked[key] = _dimension(setting, types[key])
            else:
                asked[key] = _value(setting, types[key])
        except (ValueError, StudyError) as error:
            problems.append(f"{name}.{key} = {setting!r}: {_told(error)}")
    if problems:
        raise StudyError(*problems)
    return asked


def _no_such_knob(arm: str, key: str, known: Mapping[str, object]) -> str:
    return f"no such knob{did_you_mean(key, known)}; {arm} has {', '.join(sorted(known))}"


def _starts(
    given: object,
    space: Space,
    knobs: Mapping[str, Dimension],
    fixed: Mapping[str, Value],
    types: Mapping[str, object],
) -> tuple[dict[str, Value], ...]:
    """The study's own starts, or those of the space that fit what the study has changed."""
    if given is not None:
        if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
            raise ValueError("must be a list of {knob: value}")
        unknown = sorted({str(key) for item in given for key in item if key not in knobs})
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: searched are {', '.join(sorted(knobs))}")
        return tuple({key: _value(item[key], types[key]) for key in item} for item in given)
    left = [{k: v for k, v in start.items() if k not in fixed} for start in space.starts]
    fitting = [s for s in left if all(knobs[k].holds(v) for k, v in s.items() if k in knobs)]
    return tuple({tuple(sorted(s.items())): s for s in fitting}.values())


def _knob_types(strategy: type[Strategy]) -> dict[str, object]:
    """Annotation per knob, and the learning rate's."""
    hints = typing.get_type_hints(strategy)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(strategy)}
    return {**fields, LEARNING_RATE: float}


def _value(value: object, kind: object) -> Value:
    """A value of the annotated kind; YAML reads ``1e-4`` as text, which is meant as a number."""
    if typing.get_origin(kind) in UNIONS:
        return _value_of_one(value, typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        options = typing.get_args(kind)
        if value not in options:
            raise ValueError(f"allowed are {', '.join(map(str, options))}")
        return typing.cast("Value", value)
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        number = float(value)
        if not math.isfinite(number):
            raise ValueError("must be a finite number")
        return number
    if (
        isinstance(kind, type)
        and isinstance(value, kind)
        and isinstance(value, bool) == (kind is bool)
    ):
        return typing.cast("Value", value)
    raise ValueError(f"must be {getattr(kind, '__name__', kind)}")


def _value_of_one(value: object, kinds: tuple[object, ...]) -> Value:
    """A value of the first of several kinds that it fits."""
    faults = []
    for kind in kinds:
        try:
            return _value(value, kind)
        except ValueError as error:
            faults.append(str(error))
    raise ValueError(", or ".join(faults))


def _number(kind: object) -> object:
    """The kind of number that a range of a knob has; ``None`` where it takes none."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) in UNIONS else (kind,)
    return next((number for number in (float, int) if number in kinds), None)


def _dimension(setting: Mapping[str, Any], kind: object) -> Dimension:
    unknown = sorted(str(key) for key in setting if key not in RANGE_KEYS)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: a range has low, high, log or choices")
    if "choices" in setting:
        if not isinstance(setting["choices"], list):
            raise ValueError("choices must be a list")
        options = tuple(_value(option, kind) for option in setting["choices"])
        return Choice(options=options, source="the study")
    if "low" not in setting or "high" not in setting:
        raise ValueError("a range needs low and high")
    log = setting.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log must be true or false, got {log!r}")
    number = _number(kind)
    if number is int:
        low, high = (typing.cast("int", _value(setting[end], int)) for end in ("low", "high"))
        return Integer(low=low, high=high, log=log, source="the study")
    if number is float:
        bounds = [float(_value(setting[end], float)) for end in ("low", "high")]
        return Uniform(low=bounds[0], high=bounds[1], log=log, source="the study")
    raise ValueError("only numbers have a range; give choices")


def _check_buildable(arm: Arm) -> None:
    """Builds the strategy at both ends of every range, so that no trial finds a bad value."""
    problems = sorted(set(_faults(arm)))
    if problems:
        raise StudyError(*problems)


def _faults(arm: Arm) -> Iterator[str]:
    general = _fault(arm, {})
    if general:
        yield f"{arm.name}: {general}"
    for knob, dimension in arm.space.knobs.items():
        for end in dimension.ends:
            fault = _fault(arm, {knob: end})
            if fault and fault != general:
                yield f"{arm.name}.{knob} = {end!r}: {fault}"


def _fault(arm: Arm, values: Mapping[str, Value]) -> str | None:
    """Why the strategy cannot be built with these values over the fixed ones and the defaults."""
    try:
        _, rate = arm.build({LEARNING_RATE: 1e-3, **arm.fixed, **values})
    except (ValueError, TypeError, PareTuneError) as error:
        return _told(error)
    return None if rate > 0 else f"{LEARNING_RATE} > 0 must hold, got {rate}"


def _told(error: Exception) -> str:
    return "; ".join(error.problems) if isinstance(error, StudyError) else str(error)
