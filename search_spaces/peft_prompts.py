"""What is searched for PEFT's prompt tuning, P-tuning and prefix tuning."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Integer, Space, Uniform

PROMPT_TUNING = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-3,
            high=1e-1,
            log=True,
            source="Lester, arXiv 2104.08691, section 3 and appendix: up to 0.3 with Adafactor on "
            "T5; lower here, as for our own prompts",
        ),
        "num_virtual_tokens": Integer(
            low=1,
            high=64,
            log=True,
            source="Lester, arXiv 2104.08691, section 3.2: 1 to 150; "
            "cut, since prompt and text share the model's positions",
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
            source="P-tuning, arXiv 2103.10385, section 4, tunes the model too, at 1e-5 and more; "
            "higher where the prompt's network learns alone",
        ),
        "num_virtual_tokens": Integer(
            low=1,
            high=64,
            log=True,
            source="as for prompt tuning (arXiv 2104.08691, section 3.2); P-tuning itself uses "
            "fewer than 20",
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
            source="P-tuning v2, arXiv 2110.07602: the authors' scripts for BERT and RoBERTa use "
            "5e-3 to 1e-2; as for our own prefixes",
        ),
        "num_virtual_tokens": Integer(
            low=1,
            high=64,
            log=True,
            source="P-tuning v2, arXiv 2110.07602, section 3.3: below 20 for simple tasks",
        ),
    },
    starts=({LEARNING_RATE: 1e-2, "num_virtual_tokens": 8},),
)
