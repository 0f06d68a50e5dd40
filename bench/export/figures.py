"""What a run knows of the configuration that is exported: figures with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.record import TrialRecord
from bench.study_record import Run
from reports import show
from reports.confirmed import Confirmed, Right, confirmed
from reports.leaderboard import BY_RANK
from reports.metrics import JUDGED, METRICS
from reports.statistics.uncertainty import Estimate, mean_accuracy

COSTS = ("trained_parameters", "stored_bytes", "inference_ms_p50", "inference_ms_p95")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the model card.

    Attributes:
        label: what it is.
        value: with its unit.
        interval: 95 % interval; empty where there is none.
        of: what it was measured of.
    """

    label: str
    value: str
    interval: str
    of: str


def candidate_of(run: Run, record: TrialRecord) -> Confirmed | None:
    """The frozen configuration that a trial is, or repeats; ``None`` if it is none."""
    wanted = record.confirms or record.fingerprint
    found = (each for each in confirmed(run) if each.candidate.fingerprint == wanted)
    return next(found, None)


def figures_of(run: Run, record: TrialRecord) -> list[Figure]:
    """Accuracies, those of fresh seeds first, then sizes and latency of the trial."""
    candidate = candidate_of(run, record)
    return [*_of_candidate(run, candidate), *_of_trial(run, record), *_costs(record)]


def cautions_of(run: Run, record: TrialRecord) -> list[str]:
    """What has to be known of them."""
    candidate = candidate_of(run, record)
    told = []
    if candidate is None:
        told.append(
            "This configuration was not among those that were confirmed on fresh seeds and scored"
            " on test: its validation accuracy is that of the search, which is optimistic."
        )
    elif len(candidate.runs) == 1:
        told.append("An interval of one seed speaks of other questions, not of other seeds.")
    if record.was_shared:
        told.append("Its latency was taken while other trials may have used the same device.")
    return told


def _of_candidate(run: Run, candidate: Confirmed | None) -> Iterator[Figure]:
    if candidate is None or not candidate.runs:
        return
    fresh = "fresh seeds" if run.freeze and run.freeze.seeds else "seed of the search"
    tested = [r for r in candidate.runs if run.study.is_tested(r)]
    if tested:
        rows = [np.equal(r.test.predictions, r.test.answers) for r in tested if r.test]
        yield _accuracy("test accuracy", np.array(rows), f"{len(tested)} {fresh}")
    right = candidate.right("validation")
    yield _accuracy("validation accuracy", right, f"{len(right)} {fresh}")
    for metric in (METRICS[name] for name in JUDGED if name != BY_RANK):
        values = [value for r in tested if (value := metric.read(r)) is not None]
        if values:
            of, shown = f"median of {len(values)} {fresh}", show.figure(metric, median(values))
            yield Figure(label=metric.label, value=shown, interval="", of=of)


def _of_trial(run: Run, record: TrialRecord) -> Iterator[Figure]:
    known = record.accuracy
    if known is None or len(known.predictions) != len(run.study.answers):
        return
    right = np.equal([known.predictions], run.study.answers)
    kind = "with a fresh seed" if record.confirms else "of the search"
    yield _accuracy("validation accuracy", right, f"{record.trial}, a trial {kind}")
    if record.test and run.study.is_tested(record):
        answered = np.equal([record.test.predictions], record.test.answers)
        yield _accuracy("test accuracy", answered, record.trial)


def _accuracy(label: str, right: Right, of: str) -> Figure:
    found: Estimate = mean_accuracy(right)
    return Figure(
        label=label,
        value=show.share(found.value),
        interval=show.interval(found.low, found.high),
        of=of,
    )


def _costs(record: TrialRecord) -> Iterator[Figure]:
    device = record.environment.device if record.environment else ""
    precision = record.environment.precision if record.environment else ""
    for name in COSTS:
        metric = METRICS[name]
        value = metric.read(record)
        of = f"{record.trial}, on {device} in {precision}" if metric.unit == "ms" else record.trial
        text = show.figure(metric, value) or "not measured"
        yield Figure(label=metric.label, value=text, interval="", of=of)
