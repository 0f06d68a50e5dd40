"""What is searched for prefix tuning."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Integer, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=5e-2,
            log=True,
            source="P-tuning v2, arXiv 2110.07602: the authors' scripts for BERT and RoBERTa "
            "(THUDM/P-tuning-v2) use 5e-3 to 1e-2; a factor of five to each side",
        ),
        "length": Integer(
            low=1,
            high=64,
            log=True,
            source="P-tuning v2, arXiv 2110.07602, section 3.3: below 20 for simple tasks, "
            "about 100 for sequence labelling, which ours is not",
        ),
    },
    starts=({LEARNING_RATE: 1e-2, "length": 8},),
)
