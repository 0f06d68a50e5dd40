"""What is searched for bottleneck adapters."""

from __future__ import annotations

from bench.space import LEARNING_RATE, Choice, Integer, Space, Uniform

SPACE = Space(
    knobs={
        LEARNING_RATE: Uniform(
            low=1e-4,
            high=5e-3,
            log=True,
            source="Houlsby, arXiv 1902.00751, section 3: 3e-5, 3e-4 and 3e-3 on GLUE; narrowed to "
            "where short training of small models gets anywhere",
        ),
        "bottleneck": Integer(
            low=2,
            high=256,
            log=True,
            source="Houlsby, arXiv 1902.00751, section 3: 2 to 64 on small tasks, 8 to 256 on GLUE",
        ),
        "placement": Choice(
            options=("pfeiffer", "houlsby"),
            source="arXiv 2005.00247 (after the feed-forward layer) and arXiv 1902.00751 (both)",
        ),
    },
    starts=(
        {LEARNING_RATE: 1e-3, "bottleneck": 64, "placement": "pfeiffer"},
        {LEARNING_RATE: 1e-3, "bottleneck": 8, "placement": "houlsby"},
    ),
)
