"""Questions of elementary science, and sentences to be sorted, generated from written facts."""

from bench.data.elementary.generate import generate
from bench.data.elementary.kinds import generate_kinds

__all__ = ["generate", "generate_kinds"]
