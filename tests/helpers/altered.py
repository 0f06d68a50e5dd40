"""Runs made of other runs: other trials, other code, fewer seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.records.spec import content_hash
from bench.records.study_record import Run
from bench.records.trial_record import TrialRecord

Change = Callable[[TrialRecord], TrialRecord]


def changed(run: Run, change: Change) -> Run:
    """The run with every trial of it changed."""
    return replace(
        run,
        searched=tuple(map(change, run.searched)),
        confirmed=tuple(map(change, run.confirmed)),
    )


def updated(**fields: object) -> Change:
    """The change that sets these fields."""
    return lambda record: record.model_copy(update=fields)


def recoded(run: Run) -> Run:
    """The same run by another version of the code: every fingerprint is another one."""
    new = {r.fingerprint: content_hash([r.fingerprint, "new"]) for r in run.searched}
    moved = changed(
        run,
        lambda r: r.model_copy(
            update={
                "fingerprint": content_hash([r.fingerprint, "new"]),
                "confirms": r.confirms and new[r.confirms],
            }
        ),
    )
    assert run.freeze is not None
    candidates = tuple(
        c.model_copy(update={"fingerprint": new[c.fingerprint]}) for c in run.freeze.candidates
    )
    return replace(moved, freeze=run.freeze.model_copy(update={"candidates": candidates}))


def one_seed(run: Run, seed: int = 1001) -> Run:
    """What a run would be that was confirmed on one seed only."""
    assert run.freeze is not None
    freeze = run.freeze.model_copy(update={"seeds": (seed,)})
    return replace(run, freeze=freeze, confirmed=tuple(r for r in run.confirmed if r.seed == seed))
