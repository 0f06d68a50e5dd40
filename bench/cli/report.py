"""The command ``paretune report``: the report of a run, written again from its records."""

from __future__ import annotations

from bench.cli.console import SUCCESS, out
from bench.storage.files import Location
from bench.storage.ledger import Ledger
from bench.tune.report import write_report


def rewrite_report(folder: Location) -> int:
    """Writes the report of a run folder from its records."""
    ledger = Ledger(folder)
    ledger.run()  # told before anything is made in a folder that is none of ours
    with ledger.lock():
        write_report(ledger, ledger.run())
    path = ledger.report_folder / "report.html"
    out.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)
    return SUCCESS
