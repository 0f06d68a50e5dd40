"""One thread of arithmetic in every test, so that equal seeds give equal bits."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
