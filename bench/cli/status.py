"""The command ``paretune status``: where a run stands, and how it goes on."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from bench.cli.console import SUCCESS, out
from bench.records.study_record import Run
from bench.records.trial_record import RETRIED_ON_RESUME, Status
from bench.storage.files import Location
from bench.storage.ledger import Ledger
from bench.study.request import Request
from reports.escape import headline, plain
from reports.standings import completed


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        study: its name.
        planned: trials per arm.
        ended: trials per arm and status.
        reasons: why trials failed, by their names.
        confirmed: trials with fresh seeds that have ended, and how many are to end.
        lost: of them, trials whose end may have been an accident.
        frozen: whether it is written down what is to be confirmed or tested, if there is anything.
        unscored: frozen trials that have ended without a test score.
        at_work: trials that have begun and not ended.
        running: whether a command is at work; if not, those were interrupted.
        damaged: what is wrong with records that cannot be read, by file.
        command: that goes on.
        confirm: command that goes on without searching, where a budget has ended the search.
    """

    study: str
    planned: dict[str, int]
    ended: dict[str, dict[str, int]]
    reasons: dict[str, str]
    confirmed: tuple[int, int]
    lost: int
    frozen: bool
    unscored: list[str]
    at_work: list[str]
    running: bool
    damaged: dict[str, str]
    command: str
    confirm: str | None

    @property
    def missing(self) -> int:
        """Planned trials without a record."""
        return sum(self.planned.values()) - sum(sum(e.values()) for e in self.ended.values())

    @property
    def is_open(self) -> bool:
        """Whether the command has something left to do."""
        done, wanted = self.confirmed
        left = self.missing or self.again or self.damaged or self.unscored or done < wanted
        return bool(left) or not self.frozen

    @property
    def again(self) -> int:
        """Trials whose end may have been an accident: the command runs them again."""
        searched = sum(
            ends.get(status, 0) for ends in self.ended.values() for status in RETRIED_ON_RESUME
        )
        return searched + self.lost


def run_status(folder: Location) -> RunStatus:
    """Where a run folder stands.

    Raises:
        LedgerError: it is no run folder.
    """
    ledger = Ledger(folder)
    ledger.check_inside()
    study, found = ledger.study(), ledger.records()
    run = Run.of(study, found.readable.values(), found.freeze)
    ended: dict[str, Counter[str]] = {arm: Counter() for arm in study.planned}
    for record in run.searched:
        ended[record.arm][record.status] += 1
    return RunStatus(
        study=study.name,
        planned=study.planned,
        ended={arm: dict(counts) for arm, counts in ended.items()},
        reasons=_reasons(run),
        confirmed=run.fresh_trials,
        lost=sum(record.status in RETRIED_ON_RESUME for record in run.confirmed),
        frozen=run.freeze is not None or not completed(run.searched),
        unscored=sorted(record.trial for record in run.unanswered),
        at_work=[
            f"{at_work.trial} (attempt {at_work.attempt})"
            for at_work in ledger.at_work()
            if at_work.attempt
        ],
        running=ledger.locked,
        damaged={path.name: fault for path, fault in found.damaged.items()},
        command=Request.recorded(study).changed({}, {"out": str(folder)}).command,
        confirm=f"paretune confirm {shlex.quote(str(folder))}" if study.budget_spent else None,
    )


def _reasons(run: Run) -> dict[str, str]:
    """Why trials failed, by their names."""
    records = sorted((*run.searched, *run.confirmed), key=lambda record: record.trial)
    return {
        record.trial: f"{record.status}: {headline(record.reason)}"
        for record in records
        if record.reason and record.status not in {Status.PRUNED, Status.SKIPPED}
    }


def show_status(folder: Location, *, as_json: bool) -> int:
    """Prints where a run folder stands."""
    found = run_status(folder)
    if as_json:
        document = asdict(found) | {"missing": found.missing, "again": found.again}
        print(json.dumps(document))  # noqa: T201
        return SUCCESS
    done = sum(sum(ends.values()) for ends in found.ended.values())
    state = "running" if found.running else "not running"
    _say(
        f"{found.study}: {done} of {sum(found.planned.values())} planned trials have ended; {state}"
    )
    out.print(_table(found))
    for line in _details(found):
        _say(line)
    if found.is_open and not found.running:
        _say(f"go on with: {found.command}")
        if found.confirm:
            _say(f"or, without searching on: {found.confirm}")
    elif not found.running:
        _say(f"nothing is left to do; more trials: {found.command} --trials N")
    return SUCCESS


def _details(found: RunStatus) -> Iterator[str]:
    yield from (f"{trial} {reason}" for trial, reason in found.reasons.items())
    yield from (f"damaged record {name}: {fault}" for name, fault in found.damaged.items())
    if found.at_work:
        yield f"{'running' if found.running else 'interrupted'}: {', '.join(found.at_work)}"
    if any(found.confirmed):
        yield "confirmed on fresh seeds: {} of {} trials".format(*found.confirmed)
    if found.unscored:
        yield f"without a test score: {', '.join(found.unscored)}"


def _table(found: RunStatus) -> Table:
    statuses = [s for s in Status if any(ends.get(s) for ends in found.ended.values())]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for heading in ("planned", *statuses, "to come"):
        table.add_column(heading.replace("_", " "), justify="right")
    for arm, planned in found.planned.items():
        ends = found.ended[arm]
        left = planned - sum(ends.values())
        counts = [str(ends.get(status, 0)) for status in statuses]
        table.add_row(Text(plain(arm)), str(planned), *counts, str(left))
    return table


def _say(text: str) -> None:
    out.print(plain(text), markup=False, highlight=False, soft_wrap=True)
