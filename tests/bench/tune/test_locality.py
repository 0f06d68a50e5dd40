"""Workers of one node share one copy of weights and tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PROGRAM = """
import json

from bench.study.run_options import RunOptions
from bench.cluster.join import cluster  # before Ray, which it tells of tokens
from bench.pretrained.shared_weights import Weights

import ray
from transformers import AutoModel, BertConfig


class Holder:
    def __init__(self, weights):
        self.backbone = weights.backbone()
        self.total = sum(float(p.detach().sum()) for p in self.backbone.parameters())

    def kilobytes(self):
        values = {}
        for name in ("smaps_rollup", "status"):
            for line in open(f"/proc/self/{name}", encoding="utf-8"):
                words = line.split()
                if line.endswith("kB\\n"):
                    values[words[0].rstrip(":")] = int(words[1])
        return values["RssShmem"], values["Pss_Shmem"], values["Pss"], self.total


config = BertConfig(vocab_size=30522, hidden_size=512, num_hidden_layers=6,
                    num_attention_heads=8, intermediate_size=2048)
weights = Weights.of(AutoModel.from_config(config, add_pooling_layer=False))
size = sum({id(a): a.nbytes for a in weights.parameters.values()}.values())
with cluster(RunOptions(cpus_per_trial=0.25)):
    shared = ray.put(weights)
    found = {}
    for count in (1, 4):
        holders = [ray.remote(num_cpus=0.25)(Holder).remote(shared) for _ in range(count)]
        ray.get([holder.kilobytes.remote() for holder in holders])  # all have come so far
        found[count] = ray.get([holder.kilobytes.remote() for holder in holders])
        for holder in holders:
            ray.kill(holder)
print(json.dumps({"size": size, "found": found}))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_four_workers_do_not_multiply_the_memory_of_weights() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    size = told["size"] / 1024
    (one,), four = told["found"]["1"], told["found"]["4"]
    assert len({total for *_, total in (one, *four)}) == 1
    for mapped, *_ in (one, *four):
        assert mapped > 0.95 * size, "each has all of the weights in sight"
    assert sum(share for _, share, *_ in four) < 1.05 * size, "and together they hold them once"
