"""What is searched for PEFT's LoRA and its variants DoRA and rsLoRA.

A searched rank takes ``lora_alpha`` with it in LoRA and DoRA, so that α/r stays 2; in rsLoRA, whose
scaling is α/√r, α stays. Where LoRA goes is PEFT's table, so ``target_modules`` is not searched.
"""

from __future__ import annotations

from bench.space import LEARNING_RATE, Integer, Space, Uniform

LORA = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=5e-3,
            log=True,
            source="LoRA, arXiv 2106.09685, appendix D: 2e-4 to 5e-4 for RoBERTa; the wider span "
            "is ours, as for our own LoRA: methods differ in the rates that suit them (arXiv "
            "2602.04998)",
        ),
        "r": Integer(
            low=1,
            high=64,
            log=True,
            source="LoRA, arXiv 2106.09685, section 7.2: 1 to 64",
        ),
    },
    starts=({LEARNING_RATE: 1e-3, "r": 8},),
)

DORA = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=5e-3,
            log=True,
            source="ours: LoRA's span, of which it is a variant; the authors of DoRA (arXiv "
            "2402.09353) train LLaMA 2 and 3 with 2e-4 and 1e-4 (NVlabs/DoRA)",
        ),
        "r": Integer(
            low=4,
            high=64,
            log=True,
            source="DoRA, arXiv 2402.09353, section 5 (robustness to the rank): 4 to 64",
        ),
    },
    starts=({LEARNING_RATE: 1e-3, "r": 8},),
)

RSLORA = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=5e-3,
            log=True,
            source="ours: LoRA's span, as rsLoRA (arXiv 2312.03732) is LoRA with another scaling",
        ),
        "r": Integer(
            low=4,
            high=256,
            log=True,
            source="rsLoRA, arXiv 2312.03732, section 4: 4 to 2048; the cut at 256 is ours: the "
            "change would be wider than small models are",
        ),
    },
    starts=({LEARNING_RATE: 1e-3, "r": 8}, {LEARNING_RATE: 5e-4, "r": 64}),
)
