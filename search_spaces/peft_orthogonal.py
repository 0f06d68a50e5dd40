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
            source="OFTv2, arXiv 2506.19847, appendix: 1e-4 to 8e-4 for language models; wider "
            "upwards, since small models like larger rates",
        ),
        "oft_block_size": Choice(
            options=(8, 16, 32),
            source="OFTv2, arXiv 2506.19847, section 5 (32), and BOFT, arXiv 2311.06243, table 1 "
            "(16, as the equal of its own m = 1)",
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
            source="BOFT, arXiv 2311.06243, appendix on GLUE: some 1e-4 for DeBERTaV3-base; wider "
            "upwards, since small models like larger rates",
        ),
        "boft_block_size": Choice(
            options=(4, 8, 16),
            source="BOFT, arXiv 2311.06243, table 1: 8, and 16 for OFT; PEFT's default is 4",
        ),
    },
    starts=(
        {LEARNING_RATE: 1e-3, "boft_block_size": 4},
        {LEARNING_RATE: 1e-3, "boft_block_size": 8},
    ),
)
