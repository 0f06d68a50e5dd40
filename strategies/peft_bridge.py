"""Any method of Hugging Face PEFT as a strategy: ``peft:ia3``, ``peft:dora`` and so on.

The knobs are the fields of PEFT's own configuration that a number, a text or a switch can fill.
PEFT wraps the backbone, the head stays the harness's. PEFT itself is imported when the first of
these strategies is asked for.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn

from bench.anatomy import skeleton
from bench.errors import StudyError, TrialRefused
from bench.space import Value
from bench.strategy import Family, PeftAdapter, Strategy, did_you_mean
from strategies.peft_methods import METHODS, NEED_DATA, NO_KNOBS, UNFIT, Method, method
from strategies.peft_wrap import PeftPrompted, merged, saved, through_cache, wrap

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PretrainedConfig, PreTrainedModel

FAMILY_NAME = "peft"
TASK = "FEATURE_EXTRACTION"
SCALARS = (bool, int, float, str)
REFUSALS = (
    ValueError, TypeError, LookupError, AttributeError, NotImplementedError, AssertionError,
    ImportError,
)  # fmt: skip
"""What PEFT raises when a method does not fit a model or a value its field."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeftStrategy(Strategy):
    """What all methods of PEFT have in common; ``make`` adds the knobs of one.

    Modules are chosen by PEFT's own table where it knows the model's family, else by structure:
    query and value, for IA3 key, value and the end of the feed-forward layer, for LN tuning every
    norm; a ``target_modules`` that is given (a regular expression, or ``all-linear``) goes before
    both. What trains and what is frozen is PEFT's affair.
    """

    method: ClassVar[Method]
    needs: ClassVar[tuple[str, ...]] = ("peft",)

    def __post_init__(self) -> None:
        if self.method.scaling is not None:
            name, ratio = self.method.scaling
            if getattr(self, name) is None:
                object.__setattr__(self, name, max(1, round(ratio * getattr(self, "r"))))  # noqa: B009
        for name, values in NEED_DATA.items():
            if (value := getattr(self, name, None)) in values:
                raise ValueError(f"{name} = {value!r} reads data before training, which no"
                                 " strategy is given")  # fmt: skip
        try:
            self.configuration()
        except REFUSALS as error:
            raise ValueError(_told(error)) from error

    def configuration(self) -> PeftConfig:
        """PEFT's configuration, new every time: PEFT changes what it is given."""
        kind = _configurations()[self.method.kind]
        quiet = {"progressbar": False} if "progressbar" in _fields(kind) else {}
        made: PeftConfig = kind(task_type=TASK, **quiet, **self.method.held, **self.knobs)
        return made

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Wraps the backbone by PEFT."""
        reason = self.refuse(backbone.config)
        if reason is not None:
            raise TrialRefused(self.name, reason)
        return self._wrapped(backbone)

    def refuse(self, config: PretrainedConfig) -> str | None:
        """Why PEFT cannot adapt such a model, in its own words, found by wrapping its skeleton."""
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._wrapped(skeleton(config))
        except TrialRefused as refusal:
            return None if _for_want_of_weights(refusal.__cause__) else refusal.reason
        except RuntimeError as error:
            if not _for_want_of_weights(error):
                raise
        return None

    def _wrapped(self, backbone: PreTrainedModel) -> nn.Module:
        try:
            return wrap(backbone, self.configuration(), self.method.targets)
        except REFUSALS as error:
            raise TrialRefused(self.name, f"PEFT says: {_told(error)}") from error

    @property
    def through_cache(self) -> bool:
        """Of prefix tuning."""
        return through_cache(self.configuration())

    @property
    def positions_taken(self) -> int:
        """The virtual tokens; PEFT counts the text from behind a prefix, too."""
        config: Any = self.configuration()
        return int(config.num_virtual_tokens) if config.is_prompt_learning else 0

    @property
    def starts_unchanged(self) -> bool:
        """Where that is known of the method, and no field asks for another start."""
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        changed = [v for name, v in self.knobs.items() if v != usual[name]]
        # Another rank or dropout changes no start; a switch or another initialisation may.
        return self.method.unchanged and not any(isinstance(v, bool | str) for v in changed)

    def deploy(self, backbone: nn.Module) -> nn.Module:
        """Merges what PEFT can merge; of a prompt keeps the vectors alone."""
        if not isinstance(backbone, PeftPrompted):
            return merged(backbone)
        backbone.fold()
        return backbone

    def peft_adapter(self, backbone: nn.Module) -> PeftAdapter | str:
        """As PEFT itself saves it."""
        return saved(backbone)

    @property
    def knobs(self) -> dict[str, Value]:
        """Field values by name; a field that PEFT leaves empty is not named."""
        return {name: v for name, v in dataclasses.asdict(self).items() if v is not None}

    def __repr__(self) -> str:
        knobs = ", ".join(f"{name}={value!r}" for name, value in self.knobs.items())
        return f"{type(self).__name__}({knobs})"

    def __reduce__(self) -> tuple[object, ...]:
        return (remake, (self.name, self.knobs))


class PeftFamily(Family):
    """The names of PEFT's methods and what is made of them."""

    def names(self) -> tuple[str, ...]:
        """Those we say something of first."""
        others = sorted(kind.lower() for kind in _configurations())
        return tuple(name for name in dict.fromkeys([*METHODS, *others]) if name not in UNFIT)

    def strategy(self, name: str) -> type[Strategy]:
        """The strategy of a method."""
        if name in UNFIT:
            raise StudyError(f"PEFT's {name} cannot be run here: {UNFIT[name]}")
        if method(name, frozenset(_configurations())) is None:
            names = self.names()
            hint = did_you_mean(name, names)
            raise StudyError(f"PEFT has no method {name!r}{hint}; it has {', '.join(names)}")
        return make(name)


FAMILY = PeftFamily()


def remake(name: str, knobs: Mapping[str, Value]) -> Strategy:
    """A strategy from what is left of it on the way to another process.

    Args:
        name: with the family's before the colon.
        knobs: by name.
    """
    return make(name.partition(":")[2])(**knobs)


@cache
def make(name: str) -> type[PeftStrategy]:
    """The class of a method that exists, made once per process.

    Args:
        name: of the method, without the family's.
    """
    configurations = _configurations()
    known = method(name, frozenset(configurations))
    assert known is not None
    title = "".join(part.capitalize() for part in name.split("_"))
    namespace = {
        "__module__": __name__,
        "__doc__": f"PEFT's {configurations[known.kind].__name__}; see ``PeftStrategy``.",
        "name": f"{FAMILY_NAME}:{name}",
        "paper": known.paper,
        "method": known,
    }
    return dataclasses.make_dataclass(
        f"Peft{title}",
        list(_knobs(configurations[known.kind], known)),
        bases=(PeftStrategy,),
        namespace=namespace,
        frozen=True,
        kw_only=True,
        repr=False,
    )


@cache
def _configurations() -> dict[str, Any]:
    """The class of PEFT's configuration by the value of its ``PeftType``.

    Raises:
        StudyError: PEFT is not installed.
    """
    try:
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    except ModuleNotFoundError as error:
        raise StudyError(
            f"strategies {FAMILY_NAME}:… need the package peft; run: pip install 'paretune[peft]'"
        ) from error
    return {kind.value: found for kind, found in PEFT_TYPE_TO_CONFIG_MAPPING.items()}


def _knobs(configuration: Any, known: Method) -> Iterator[tuple[str, Any, Any]]:
    """Name, annotation and ``dataclasses.field`` of every knob."""
    from peft import PeftConfig

    hints = typing.get_type_hints(configuration)
    left_out = {*_fields(PeftConfig), *NO_KNOBS, *known.held}
    for name, field in _fields(configuration).items():
        kind = None if name in left_out else _scalar(hints[name])
        if kind is None:
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        if known.scaling is not None and name == known.scaling[0]:
            default = None
        default = known.defaults.get(name, default)
        default = default.value if isinstance(default, enum.Enum) else default
        if default is None or isinstance(default, SCALARS):
            yield name, kind, dataclasses.field(default=default)


def _scalar(kind: Any) -> Any:
    """What of an annotation a knob can hold; ``None`` if nothing is."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return kind
    if origin in (typing.Union, types.UnionType):
        found = [one for one in map(_scalar, parts) if one is not None]
        return typing.Union[tuple(found)] if found else None  # noqa: UP007
    return kind if kind in SCALARS else None


def _fields(configuration: Any) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(configuration)}


def _for_want_of_weights(error: BaseException | None) -> bool:
    """Whether something failed only because a skeleton has no weights to look at."""
    return isinstance(error, RuntimeError) and "meta" in str(error)


def _told(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error.args[0] if error.args else "").split())
    return text or type(error).__name__
