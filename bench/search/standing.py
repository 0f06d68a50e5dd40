"""Where a run folder stands, and what trials need that is made once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from bench.clock import Stopwatch
from bench.ledger import Records
from bench.location import Location
from bench.record import TrialRecord
from bench.search.plan import Plan
from bench.search.prepared import Prepared
from bench.storage import rename, storage_error
from bench.study_record import StudyRecord
from bench.tokens import TokenSplit


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a ledger stands.

    Attributes:
        plan: what is left of the search.
        kept: records of the search that count.
        again: records with fresh seeds.
        notices: what there is to tell.
    """

    plan: Plan
    kept: tuple[TrialRecord, ...]
    again: tuple[TrialRecord, ...]
    notices: tuple[str, ...]


def resume(prepared: Prepared, found: Records) -> Standing:
    """Compares the records with the plan; damaged files are set aside, so that they run again."""
    plan, mine = prepared.plan(), prepared.mine(found.readable.values())
    kept = [record for record in prepared.searched(mine) if plan.keep(record)]
    notices = []
    for path, fault in found.damaged.items():
        notices.append(f"{path.name} was damaged ({fault}); set aside as {set_aside(path).name}")
    if apart := len(found.readable) - len(mine):
        notices.append(
            f"{apart} records of other settings, data or code are in this run folder; left out"
        )
    again = tuple(record for record in mine if record.confirms)
    return Standing(plan=plan, kept=tuple(kept), again=again, notices=tuple(notices))


def set_aside(damaged: Location) -> Location:
    """Renames a damaged file so that its trial can run again, and returns the new path.

    Raises:
        StorageError: it cannot be renamed.
    """
    aside = damaged.with_suffix(".json.damaged")
    try:
        return rename(damaged, aside.name)
    except FileNotFoundError:  # another part of the run was faster
        return aside
    except OSError as error:
        raise storage_error(aside, 0, error) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """What trials learn from and are validated on, as tokens, and what the run folder says."""

    train: TokenSplit
    validation: TokenSplit
    study: StudyRecord


def make_ready(prepared: Prepared, notices: tuple[str, ...]) -> Ready:
    """Makes the tokens once for all trials."""
    clock = Stopwatch()
    with clock.span("tokenise"):
        train, validation = prepared.tokens("train"), prepared.tokens("validation")
    study = prepared.record(
        truncated=_truncated(train, validation),
        tokenise_seconds=clock.seconds["tokenise"],
        notices=notices,
    )
    return Ready(train=train, validation=validation, study=study)


def _truncated(*splits: TokenSplit) -> float:
    """Share of sequences that were cut."""
    return sum(split.truncated for split in splits) / sum(split.sequences for split in splits)
