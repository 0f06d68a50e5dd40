"""What is searched for PEFT's prompt tuning, P-tuning and prefix tuning."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Integer, Space, Uniform

PROMPT_TUNING = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=1e-1,
            log=True,
            source="ours, as for our own prompts; Lester, arXiv 2104.08691, section 3, learns "
            "with 0.3 by Adafactor on T5",
        ),
        "num_virtual_tokens": Integer(
            low=1,
            high=64,
            log=True,
            source="Lester, arXiv 2104.08691, section 3.2: 1 to 150; the cut at 64 is ours, since "
            "prompt and text share the model's positions",
        ),
    },
    starts=({LEARNING_RATE: 1e-2, "num_virtual_tokens": 8},),
)

P_TUNING = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=1e-2,
            log=True,
            source="ours: P-tuning (arXiv 2103.10385) tunes the model too on such tasks, at rates "
            "of full fine-tuning; higher where the prompt's network learns alone",
        ),
        "num_virtual_tokens": Integer(
            low=1,
            high=64,
            log=True,
            source="ours: as for prompt tuning (arXiv 2104.08691, section 3.2)",
        ),
    },
    starts=({LEARNING_RATE: 1e-3, "num_virtual_tokens": 8},),
)

PREFIX_TUNING = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=5e-2,
            log=True,
            source="P-tuning v2, arXiv 2110.07602: the authors' scripts for BERT and RoBERTa "
            "(THUDM/P-tuning-v2) use 5e-3 to 1e-2 for prefixes without a network; the factor of "
            "five to each side is ours, as for our own prefixes",
        ),
        "num_virtual_tokens": Integer(
            low=1,
            high=64,
            log=True,
            source="P-tuning v2, arXiv 2110.07602, section 3.3: below 20 for simple tasks; the "
            "authors search 4 to 128 (THUDM/P-tuning-v2, search_script); the cut at 64 is ours",
        ),
    },
    starts=({LEARNING_RATE: 1e-2, "num_virtual_tokens": 8},),
)
