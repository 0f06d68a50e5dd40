"""What is searched for prompt tuning."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Integer, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=1e-1,
            log=True,
            source="Lester, arXiv 2104.08691, section 3 and appendix: up to 0.3 with Adafactor on "
            "T5; lower here, since the head trains at the same rate",
        ),
        "length": Integer(
            low=1,
            high=64,
            log=True,
            source="Lester, arXiv 2104.08691, section 3.2: 1 to 150; "
            "cut, since prompt and text share the model's positions",
        ),
    },
    starts=({LEARNING_RATE: 1e-2, "length": 8},),
)
