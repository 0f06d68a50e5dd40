"""The command ``paretune confirm``: what a search has chosen, on fresh seeds, then on test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.cli.sweep import run_sweep
from bench.errors import Faults
from bench.storage.files import Location
from bench.storage.ledger import Ledger
from bench.study.request import Request, read_options

USUAL_SEEDS = 5


def confirm_run(folder: Location, seeds: int | None, given: Mapping[str, Any]) -> int:
    """Goes on with a run where its search stands, and returns the exit code.

    Args:
        folder: the run folder.
        seeds: fresh seeds; ``None`` for as many as the run asks for.
        given: value by name of ``RunOptions``; what is ``None`` stays as the run was asked.

    Raises:
        InputError: it is no run folder, or what it was asked cannot be followed from here.
    """
    study, faults = Ledger(folder).study(), Faults()
    typed = {name: value for name, value in given.items() if value is not None}
    options = read_options(typed, faults).model_dump(exclude_unset=True)
    request = Request.recorded(study).changed(
        {"confirm": seeds or study.confirm or USUAL_SEEDS}, {**options, "out": str(folder)}
    )
    return run_sweep(request, faults, study.contexts)
