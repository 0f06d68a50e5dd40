"""What is searched for PEFT's LoHa and LoKr.

A searched rank takes ``alpha`` with it, so that α/r stays 1.
"""

from __future__ import annotations

from bench.space import LEARNING_RATE, Choice, Integer, Space, Uniform

LOHA = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=2e-4,
            high=1e-2,
            log=True,
            source="ours: the span of our LoRA doubled, since α/r is 1 here and 2 there",
        ),
        "r": Integer(
            low=1,
            high=32,
            log=True,
            source="LyCORIS, arXiv 2309.14859, and its manual (docs/Algo-List.md): up to 32, "
            "since the product of two changes of rank r reaches rank r² (FedPara, arXiv "
            "2108.06098, section 2); PEFT's default is 8",
        ),
    },
    starts=({LEARNING_RATE: 2e-3, "r": 8},),
)

LOKR = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=2e-4,
            high=1e-2,
            log=True,
            source="ours: as for LoHa; the Kronecker product is that of KronA (arXiv 2212.10650)",
        ),
        "r": Integer(
            low=1,
            high=32,
            log=True,
            source="ours: as for LoHa; a rank that the larger factor does not have leaves it "
            "whole; PEFT's default is 8",
        ),
        "decompose_factor": Choice(
            options=(-1, 4, 8, 16),
            source="LyCORIS, arXiv 2309.14859, and its manual (docs/Algo-List.md, "
            "docs/Guidelines.md): -1 (near the square root) for few parameters, 4 to 8 for many; "
            "16, between them, is ours",
        ),
    },
    starts=(
        {LEARNING_RATE: 2e-3, "r": 8, "decompose_factor": -1},
        {LEARNING_RATE: 2e-3, "r": 8, "decompose_factor": 8},
    ),
)
