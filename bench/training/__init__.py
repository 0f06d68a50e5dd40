"""One trial: a model adapted, trained and measured. Knows nothing of Ray."""
