"""The command ``paretune confirm``: what a search has chosen, on fresh seeds, then on test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.cli.sweep import run_sweep
from bench.cli.sweep_command import parameters_of, request_of, with_option, words_of
from bench.storage.files import Location
from bench.storage.ledger import Ledger

USUAL_SEEDS = 5


def confirm_run(folder: Location, seeds: int | None, **typed: Any) -> int:
    """Goes on with a run where its search stands, and returns the exit code.

    Args:
        folder: the run folder.
        seeds: fresh seeds; ``None`` for as many as the run asks for.
        **typed: fields of the request; those that are ``None`` stay as the run's command has them.

    Raises:
        InputError: it is no run folder, or its command cannot be followed from here.
    """
    study = Ledger(folder).study()
    count = seeds or study.confirm or USUAL_SEEDS
    words = with_option(words_of(study.command), "--out", str(folder))
    words = with_option(words, "--confirm", str(count))
    request = replace(
        request_of(parameters_of(words), ["sweep", *words]),
        contexts=study.contexts,
        time_budget=None,  # budgets are of the search
        max_gpu_hours=None,
        **{name: value for name, value in typed.items() if value is not None},
    )
    return run_sweep(request)
