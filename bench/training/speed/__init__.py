"""Faster forms of what a trial computes, each with the same result."""
