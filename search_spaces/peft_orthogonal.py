"""What is searched for PEFT's OFT and BOFT. A size that does not divide a layer is refused.

BOFT's number of butterfly factors stays 1: PEFT has more of them only where its CUDA extension can
be built. With one factor BOFT is OFT with another parameterisation and a scale per output.
"""

from __future__ import annotations

from bench.space import LEARNING_RATE, Choice, Space, Uniform

OFT = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=1e-2,
            log=True,
            source="ours: from the low end of our LoRA's span to twice its high end, as nobody's "
            "figures for small encoders are known to us; OFT is arXiv 2306.07280",
        ),
        "oft_block_size": Choice(
            options=(8, 16, 32),
            source="BOFT, arXiv 2311.06243, table 1: OFT with block size 16; PEFT's default is "
            "32; 8, for fewer parameters, is ours",
        ),
    },
    starts=(
        {LEARNING_RATE: 1e-3, "oft_block_size": 32},
        {LEARNING_RATE: 1e-3, "oft_block_size": 16},
    ),
)

BOFT = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=1e-2,
            log=True,
            source="ours: as for OFT, of which it is the finer form (arXiv 2311.06243)",
        ),
        "boft_block_size": Choice(
            options=(4, 8, 16),
            source="BOFT, arXiv 2311.06243, table 1: 8 with two factors, and 16 with one, which "
            "is OFT; PEFT's default is 4",
        ),
    },
    starts=(
        {LEARNING_RATE: 1e-3, "boft_block_size": 4},
        {LEARNING_RATE: 1e-3, "boft_block_size": 8},
    ),
)
