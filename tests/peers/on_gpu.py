"""The section for machines with a GPU: BERT-base shapes, and several trials on one GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from bench.pretrained.source import BUNDLED, locate
from tests.peers.compare import compare, ours
from tests.peers.settings import SEED, Bench, fresh

SHARES = {1: 1.0, 4: 0.25, 8: 0.125}
"""GPUs per trial by the number of trials on one GPU."""


def on_gpu(bench: Bench) -> dict[str, Any]:
    """Section 1 with few trials, and trials per GPU-hour by the number of trials at a time."""
    if not torch.cuda.is_available():
        return {"missing": "a GPU"}
    folder = str(_model())
    trials, scale = bench.scale.gpu_trials, bench.scale
    found: dict[str, Any] = {
        "peers": compare(bench, "lora", trials, model=folder, gpus=1.0),
        "packed": {},
    }
    dataset = bench.questions(scale.train, scale.validation)
    gpus = torch.cuda.device_count()
    for together, share in SHARES.items():
        done = ours(dataset, "lora", trials * together, model=folder, gpus=share)
        found["packed"][str(together)] = trials * together * 3600 / done.finished.seconds / gpus
    return found


def _model() -> Path:
    """A folder with BERT-base, random weights, and the bundled model's vocabulary."""
    folder = fresh("bert-base")
    torch.manual_seed(SEED)
    BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(folder)
    AutoTokenizer.from_pretrained(locate(BUNDLED).folder).save_pretrained(folder)
    return folder
