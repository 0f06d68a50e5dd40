"""What is searched for full fine-tuning."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-5,
            high=2e-4,
            log=True,
            source="BERT, arXiv 1810.04805, appendix A.3: 2e-5 to 5e-5; "
            "wider to both sides, since small models like larger rates",
        ),
    },
    starts=({LEARNING_RATE: 5e-5}, {LEARNING_RATE: 1e-4}),
)
