"""From rows of any origin to batches of a task."""
