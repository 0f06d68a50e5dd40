"""What is searched for LoRA. The scaling α/r is held, see ``LoRA.alpha_ratio``."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Choice, Integer, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=5e-3,
            log=True,
            source="LoRA, arXiv 2106.09685, appendix D: 2e-4 to 5e-4 for RoBERTa; wider, since the "
            "best rate decides rankings (arXiv 2602.04998)",
        ),
        "rank": Integer(
            low=1,
            high=64,
            log=True,
            source="LoRA, arXiv 2106.09685, section 7.2: 1 to 64",
        ),
        "targets": Choice(
            options=("query_value", "attention", "all_linear"),
            source="LoRA, arXiv 2106.09685, section 7.1 (attention); QLoRA, arXiv 2305.14314, "
            "section 4 (all linear layers)",
        ),
    },
    starts=(
        {LEARNING_RATE: 1e-3, "rank": 8, "targets": "query_value"},
        {LEARNING_RATE: 1e-3, "rank": 8, "targets": "all_linear"},
    ),
)
