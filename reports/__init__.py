"""Pure functions from trial records to tables, figures and text."""
