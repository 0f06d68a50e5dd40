"""Ray clusters: nodes, what fits on them, how they are joined and given jobs."""
