"""Probabilities as a short text, as records hold one per example."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable

CONFIDENCE_STEPS = 10_000
"""Of a probability; nothing is computed from finer ones."""


def packed(confidences: Iterable[float]) -> str:
    """Probabilities as text: ten-thousandths, 16 bits each, little-endian, in base64."""
    whole = [round(CONFIDENCE_STEPS * confidence) for confidence in confidences]
    return base64.b64encode(struct.pack(f"<{len(whole)}H", *whole)).decode()


def unpacked(text: str) -> tuple[float, ...]:
    """The probabilities that ``packed`` made a text of."""
    content = base64.b64decode(text)
    return tuple(
        whole / CONFIDENCE_STEPS for whole in struct.unpack(f"<{len(content) // 2}H", content)
    )
