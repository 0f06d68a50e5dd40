"""Whether the machines of a cluster are fit for a study, asked of all at the same time."""
