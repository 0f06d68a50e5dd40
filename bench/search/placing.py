"""Find out where the trials of a study run, and whether they can, before a trial is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from bench.errors import LedgerError
from bench.ledger import Ledger
from bench.search.cluster import cluster
from bench.search.doctor import preflight
from bench.search.fraction import SAYS, settle
from bench.search.prepared import Prepared
from bench.search.slots import Demand, Slots
from bench.search.standing import Ready
from bench.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where trials run.

    Attributes:
        slots: on a Ray that has been started; ``None`` where nothing is to be computed.
        notices: what is to be told of it.
    """

    slots: Slots | None
    notices: tuple[str, ...]


@contextlib.contextmanager
def placed(
    prepared: Prepared, demand: Demand, weights: Weights | None, ready: Ready, searches: bool
) -> Iterator[Placed]:
    """Ray for as long as the context lasts, if there is something to compute.

    Args:
        prepared: the study.
        demand: what a trial is to be given.
        weights: of the pretrained model; ``None`` where there is nothing to compute.
        ready: what trials learn from.
        searches: whether trials of the search run, which may share a device.

    Raises:
        InputError: the cluster cannot serve the study.
    """
    insecure = [INSECURE] if demand.address and demand.insecure else []
    if weights is None:
        yield Placed(slots=None, notices=(*insecure, *_before(prepared.ledger)))
        return
    with cluster(demand) as slots:
        warnings = preflight(prepared, demand) if demand.address else ()
        chosen: str | None = None
        if searches:
            tokens = (ready.train, ready.validation)
            slots, chosen = settle(prepared, demand, slots, weights, tokens)
        choice = [chosen] if chosen else _before(prepared.ledger)
        yield Placed(slots=slots, notices=(*insecure, *warnings, *choice))


INSECURE = "ran with --insecure-cluster: the Ray cluster may let in whoever reaches it"


def _before(ledger: Ledger) -> list[str]:
    """How the part of a GPU was chosen when the trials ran that are there."""
    try:
        notices = ledger.study().notices
    except LedgerError:
        return []
    return [notice for notice in notices if notice.startswith(SAYS)]
