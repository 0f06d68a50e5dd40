"""What is searched for BitFit."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=1e-2,
            log=True,
            source="BitFit, arXiv 2106.10199: the authors' code (benzakenelad/BitFit) trains BERT "
            "with 1e-3; a decade to each side",
        ),
    },
    starts=({LEARNING_RATE: 1e-3}, {LEARNING_RATE: 4e-4}),
)
