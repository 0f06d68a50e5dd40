"""Validation accuracy to be expected of the best of so many random trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.records.study_record import Run
from bench.records.trial_record import RETRIED_ON_RESUME, Status
from reports.standings import completed


def expected_best(values: Sequence[float]) -> tuple[float, ...]:
    """Expected largest of n = 1 … N of these values, drawn without replacement.

    Σ_i v(i) · C(i − 1, n − 1) / C(N, n) over the sorted values v(1) ≤ … ≤ v(N): the unbiased form
    of Tang et al. 2020 (arXiv 2004.13705) of what Dodge et al. 2019 (arXiv 1909.03004) propose.

    Args:
        values: independent draws.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    places = np.arange(1, count + 1)
    weights = np.full(count, 1 / max(1, count))
    found = []
    for drawn in range(1, count + 1):
        found.append(float(weights @ ordered))
        weights *= np.maximum(places - drawn, 0) * ((drawn + 1) / (drawn * max(1, count - drawn)))
    return tuple(found)


def by_arm(run: Run) -> dict[str, tuple[float, ...]]:
    """Expected best of n random trials, per arm of a study whose sampler is ``random``.

    Known-good starts are no random draws and are left out; so is an arm whose trials were stopped
    early, for what they would have come to is not known. A draw that ends without a result counts
    as guessing, unless its end may be an accident of the machine.

    Args:
        run: all records.
    """
    if run.study.sampler != "random":
        return {}
    found = {}
    for arm in run.study.arms:
        mine = [r for r in run.searched if r.arm == arm]
        drawn = [
            r
            for r in mine
            if r.number >= run.study.starts.get(arm, 0) and r.status not in RETRIED_ON_RESUME
        ]
        if any(r.status is Status.PRUNED for r in mine) or not completed(drawn):
            continue
        found[arm] = expected_best(
            [r.accuracy.validation if r.accuracy else run.study.chance for r in drawn]
        )
    return found
