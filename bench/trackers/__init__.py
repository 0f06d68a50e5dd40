"""A run's trials in experiment trackers."""
