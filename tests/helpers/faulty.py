"""A strategy that fails in the way its knob names; installed as a plug-in is."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from strategies.bitfit import BitFit

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Poisoned(nn.Module):
    """A model whose vectors are no numbers while it learns."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.inner = backbone

    def forward(self, **inputs: Any) -> Any:
        out = self.inner(**inputs)
        if self.training:
            out.last_hidden_state = out.last_hidden_state * torch.nan
        return out


@dataclass(frozen=True, kw_only=True)
class Faulty(BitFit):
    """See the module; marks of what has happened go to the folder that ``MARKS`` names.

    Attributes:
        fault: a method of this class, without its underscore.
    """

    name: ClassVar[str] = "faulty"

    fault: str = "none"

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        adapted = super().adapt(backbone)
        found: nn.Module | None = getattr(self, f"_{self.fault}")(adapted)
        return adapted if found is None else found

    def _none(self, adapted: nn.Module) -> None:
        """Nothing is wrong."""

    def _raises(self, adapted: nn.Module) -> None:
        raise ValueError("broken on purpose")

    def _tells(self, adapted: nn.Module) -> None:
        raise ValueError(f"could not log in with {os.environ['CANARY_TOKEN']}")

    def _poisons(self, adapted: nn.Module) -> nn.Module:
        return Poisoned(adapted)

    def _dies(self, adapted: nn.Module) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _dies_once(self, adapted: nn.Module) -> None:
        mark = Path(os.environ["MARKS"]) / "died"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _hangs(self, adapted: nn.Module) -> None:
        re.match(r"(a+)+$", "a" * 64 + "b")  # holds the interpreter for longer than we live

    def _freezes(self, adapted: nn.Module) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _eats(self, adapted: nn.Module) -> None:
        eaten = [torch.empty(1 << 28) for _ in range(1 << 8)]
        raise AssertionError(f"had {len(eaten)} GiB")

    def _fills_the_gpu(self, adapted: nn.Module) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def _waits(self, adapted: nn.Module) -> None:
        """Says that it has begun, and goes on when it may."""
        with (Path(os.environ["MARKS"]) / "began").open("a", encoding="utf-8") as file:
            file.write("once more\n")
        while not (Path(os.environ["MARKS"]) / "go").exists():
            time.sleep(0.02)

    def _meets(self, adapted: nn.Module) -> None:
        """Notes its process, and goes on at the next full second, as all others do."""
        with (Path(os.environ["MARKS"]) / "workers").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(1 - datetime.now(UTC).microsecond / 1e6)

    def _drags(self, adapted: nn.Module) -> None:
        time.sleep(0.5)
