"""What is searched for PEFT's IA3, LN tuning, VeRA and FourierFT, which learn few numbers."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Integer, Space, Uniform

IA3 = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=5e-2,
            log=True,
            source="T-Few, arXiv 2205.05638, section 3, and the authors' configs/ia3.json "
            "(r-three/t-few): 3e-3 with Adafactor; the span around it is ours, wider upwards, "
            "since the factors begin at 1 and have to move far",
        ),
    },
    starts=({LEARNING_RATE: 3e-3}, {LEARNING_RATE: 1e-2}),
)

LN_TUNING = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=1e-2,
            log=True,
            source="ours: the span of our BitFit, which learns the biases of these norms among "
            "others; arXiv 2312.11420 tunes norms of far larger models",
        ),
    },
    starts=({LEARNING_RATE: 1e-3}, {LEARNING_RATE: 4e-4}),
)

VERA = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=5e-2,
            log=True,
            source="VeRA, arXiv 2310.11454, appendix A: 4e-3 to 1e-2 for RoBERTa-base on GLUE; "
            "the factor of four and five to the sides is ours",
        ),
        "r": Integer(
            low=16,
            high=1024,
            log=True,
            source="VeRA, arXiv 2310.11454, section 4: 1024 for RoBERTa-base, 256 for large, "
            "which is PEFT's default; down to 16 is ours, for small models",
        ),
    },
    starts=({LEARNING_RATE: 1e-2, "r": 256}, {LEARNING_RATE: 4e-3, "r": 1024}),
)

FOURIERFT = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=5e-3,
            high=2e-1,
            log=True,
            source="FourierFT, arXiv 2405.03003: the authors' runs on GLUE (Chaos96/fourierft) "
            "use 0.043 to 0.12; the wider span is ours",
        ),
        "n_frequency": Integer(
            low=50,
            high=1000,
            log=True,
            source="FourierFT, arXiv 2405.03003: 1000 on GLUE (section 4, and PEFT's manual); "
            "fewer are ours, and what the method is for",
        ),
        "scaling": Uniform(
            low=10.0,
            high=200.0,
            log=True,
            source="FourierFT, arXiv 2405.03003: the authors' runs on GLUE (Chaos96/fourierft) "
            "use 29 to 151, PEFT's manual names 100 and 150; the wider span is ours, lower since "
            "the change it starts from grows as layers shrink",
        ),
    },
    starts=(
        {LEARNING_RATE: 5e-2, "n_frequency": 1000, "scaling": 150.0},
        {LEARNING_RATE: 2e-2, "n_frequency": 200, "scaling": 50.0},
    ),
)
