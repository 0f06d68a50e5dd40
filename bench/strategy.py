"""The contract of a fine-tuning method, and the methods that are installed."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from bench.errors import PluginError, StudyError
from bench.plugins import Plugins, check_class, installed_names, load_plugins

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

    from bench.space import Value


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PeftAdapter:
    """What a strategy has trained, as Hugging Face PEFT stores it, less the scoring head.

    PEFT reads ``config`` and ``tensors``; the other fields say how what it loads is called so that
    it computes the same.

    Attributes:
        config: content of ``adapter_config.json``, without the name of the base model.
        tensors: content of ``adapter_model.safetensors``.
        leading_states: states that come before those of the text and are to be cut off.
        drops_types: whether PEFT leaves token types out, so that their embeddings have to be added
            to those of the words.
        first_position: where positions have to be passed to PEFT, since it would count from behind
            what it puts there: that of the first token, from which the others follow. PEFT adds the
            number of virtual tokens to what it is passed. ``None`` where none have to be.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    leading_states: int = 0
    drops_types: bool = False
    first_position: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strategy(ABC):
    """One way of fine-tuning a pretrained backbone. A frozen dataclass whose fields are its knobs.

    An instance is the trial's label (``repr``), its record (``knobs``), its identity (``==``) and
    its transport to a worker (pickle). A strategy describes *what* learns; when it is trained,
    timed and counted is the harness's business, the same way for all.

    Attributes:
        name: how people call it.
        paper: URL of the primary source.
        needs: packages it imports that do not come with this one.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes what stays and inserts what learns; may change ``backbone`` in place.

        New weights are drawn from torch's global generator, which the harness has seeded.

        Args:
            backbone: the pretrained model without head, every parameter trainable, in float32.

        Returns:
            A module that is called as the backbone is (``input_ids``, ``attention_mask`` and, for
            pairs, ``token_type_ids``, each ``(sequences, tokens)``) and whose result has a
            ``last_hidden_state`` of shape ``(sequences, tokens, width)``. Its parameters with
            ``requires_grad`` are what this strategy trains.

        Raises:
            TrialRefused: the strategy cannot adapt this backbone.
        """

    def refuse(self, config: PretrainedConfig) -> str | None:
        """Why a model of this configuration cannot be adapted, or ``None`` if it can.

        Asked before any device is used; the trial is then skipped with this reason.
        """
        return None

    @property
    def through_cache(self) -> bool:
        """Whether what it learns enters as a cache of earlier tokens (``past_key_values``).

        transformers takes the cache from blocks that are computed again, so that such a trial is
        refused with gradient checkpointing.
        """
        return False

    @property
    def positions_taken(self) -> int:
        """How many of the model's positions it takes before those of the text.

        A trial whose texts need the others is skipped with that reason.
        """
        return 0

    @property
    def starts_unchanged(self) -> bool:
        """Whether the adapted model computes exactly what the frozen pretrained one does.

        True of methods whose additions start at zero. What such a model answers before it has
        learnt anything need not be computed for each of its configurations.
        """
        return False

    def deploy(self, backbone: nn.Module) -> nn.Module:
        """The form whose inference is timed, with the same logits.

        Args:
            backbone: what ``adapt`` returned, trained, in evaluation mode; may be changed.
        """
        return backbone

    def peft_adapter(self, backbone: nn.Module) -> PeftAdapter | str:
        """What was trained in PEFT's form, or why PEFT cannot compute the same.

        Args:
            backbone: what ``adapt`` returned, trained; stays as it is.
        """
        return "PEFT has no such method"

    @property
    def knobs(self) -> dict[str, Value]:
        """Field values by name."""
        return dataclasses.asdict(self)


class Family(ABC):
    """Strategies that are made when they are asked for, such as ``peft:ia3`` of ``peft``.

    An instance is installed as an entry point of the group ``paretune.strategy_families``, whose
    name is the part before the colon.
    """

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What may stand after the colon, the better known first.

        Raises:
            StudyError: something is not installed; with the way out.
        """

    @abstractmethod
    def strategy(self, name: str) -> type[Strategy]:
        """The strategy of a name, the same class every time.

        Its instances have to find the way to a process that has not made the class yet: they
        reduce to a function of a module and what it needs to make them.

        Args:
            name: the part after the colon.

        Raises:
            StudyError: there is none of that name, or something is not installed; with the way out.
        """


GROUP = "paretune.strategies"
FAMILIES = "paretune.strategy_families"


@cache
def installed_strategies() -> Plugins[type[Strategy]]:
    """The strategies of all installed distributions, imported once per process."""
    return load_plugins(GROUP, check_strategy)


@cache
def installed_families() -> Plugins[Family]:
    """The families of strategies of all installed distributions."""
    return load_plugins(FAMILIES, check_family)


def find_strategy(name: object) -> type[Strategy]:
    """The strategy that a person calls so, of its own or of a family.

    Raises:
        StudyError: there is none, or it is a plug-in that cannot be used.
    """
    if not isinstance(name, str):
        raise StudyError(f"unknown strategy {name!r}; a name is needed")
    installed, families = installed_strategies().found, installed_families().found
    if name in installed:
        return installed[name]
    for error in installed_strategies().broken:
        if error.name == name:
            raise StudyError(str(error))
    family, colon, rest = name.partition(":")
    if colon and family in families:
        return families[family].strategy(rest)
    known = [*sorted(installed), *(f"{one}:…" for one in sorted(families))]
    hint = did_you_mean(name, installed) or _of_a_family(name, families)
    raise StudyError(f"unknown strategy {name!r}{hint}; installed are {', '.join(known)}")


def _of_a_family(name: str, families: Mapping[str, Family]) -> str:
    """A hint that a family has the name; empty if none has."""
    for family, found in families.items():
        with contextlib.suppress(StudyError):
            if name in found.names():
                return f" (did you mean {family}:{name}?)"
    return ""


def is_installed(name: str) -> bool:
    """Whether there is a strategy of this name, or its family; imports neither."""
    family, colon, _ = name.partition(":")
    return name in installed_names(GROUP) or bool(colon and family in installed_names(FAMILIES))


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A hint at the closest known names, in brackets and after a space; empty if none is close."""
    close = difflib.get_close_matches(given, list(known), n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def check_family(name: str, loaded: object) -> Family:
    """Checks that an entry point holds a family.

    Raises:
        PluginError: it holds something else.
    """
    if not isinstance(loaded, Family):
        raise PluginError(name, f"{loaded!r} is no instance of bench.strategy.Family")
    return loaded


def check_strategy(name: str, loaded: object) -> type[Strategy]:
    """Checks what can be checked without a model.

    Raises:
        PluginError: ``loaded`` is not a strategy class that keeps the contract.
    """
    kind: type[Strategy] = check_class(name, loaded, Strategy)
    if not str(getattr(kind, "paper", "")).startswith("https://"):
        raise PluginError(name, f"{kind.__name__}.paper must be the URL of the primary source")
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise PluginError(name, f"every knob needs a default, {', '.join(missing)} has none")
    return kind
