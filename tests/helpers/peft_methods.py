"""Methods of PEFT in sizes that fit the tiny models."""

from __future__ import annotations

from typing import Any

from bench.space import installed_spaces
from bench.strategy import Strategy, find_strategy
from strategies.peft_bridge import FAMILY, FAMILY_NAME

SMALL: dict[str, dict[str, Any]] = {
    "c3a": {"block_size": 8},
    "fourierft": {"n_frequency": 100, "scaling": 5.0},
    "miss": {"r": 8},
    "oft": {"oft_block_size": 8},
    "psoft": {"r": 8},
    "road": {"group_size": 8},
    "shira": {"r": 2},
    "vblora": {"vector_length": 8},
    "vera": {"r": 16},
    "waveft": {"n_frequency": 100},
}


def peft(name: str, **knobs: Any) -> Strategy:
    """A strategy of the family, of a size that fits a width of 32."""
    kind: Any = find_strategy(f"{FAMILY_NAME}:{name}")
    strategy: Strategy = kind(**SMALL.get(name, {}) | knobs)
    return strategy


WELL_KNOWN = [
    peft(name) for name in FAMILY.names() if f"{FAMILY_NAME}:{name}" in installed_spaces().found
]
"""Those that have a search space of their own."""

OTHERS = [
    peft(name) for name in FAMILY.names() if f"{FAMILY_NAME}:{name}" not in installed_spaces().found
]
"""All others that PEFT has."""
