"""Four-choice questions of elementary science and common sense, generated from written facts."""

from bench.elementary.generate import generate

__all__ = ["generate"]
