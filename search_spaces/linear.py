"""What is searched for linear probing."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=1e-1,
            log=True,
            source="ours: only the head trains; a decade to each side of what worked (1e-3, 1e-2)",
        ),
    },
    starts=({LEARNING_RATE: 1e-2}, {LEARNING_RATE: 1e-3}),
)
