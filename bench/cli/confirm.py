"""The command ``paretune confirm``: what a search has chosen, on fresh seeds, then on test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cli.sweep import run_sweep
from bench.cli.sweep_command import parameters_of, request_of, words_of
from bench.ledger import Ledger

USUAL_SEEDS = 5


def confirm_run(folder: Path, seeds: int | None, **changes: Any) -> int:
    """Goes on with a run where its search stands, and returns the exit code.

    Args:
        folder: the run folder.
        seeds: fresh seeds; ``None`` for as many as the run asks for.
        **changes: fields of the request that were typed.

    Raises:
        InputError: it is no run folder, or its command cannot be followed from here.
    """
    study = Ledger(folder).study()
    count = seeds or study.confirm or USUAL_SEEDS
    words = [*_without_confirm(words_of(study.command)), "--confirm", str(count)]
    asked = request_of(parameters_of(words), ["sweep", *words])
    request = replace(asked, folder=folder, contexts=study.contexts, **changes)
    return run_sweep(request)


def _without_confirm(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and not word.startswith("--confirm"):
            kept.append(word)
        skip = word == "--confirm"
    return kept
