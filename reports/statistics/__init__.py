"""The statistics of a report: uncertainty, comparisons, fronts, budgets."""
