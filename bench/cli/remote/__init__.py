"""Commands that work on a cluster from a distance."""
