"""What trials were timed on: timings of different devices never stand together unsaid."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from bench.records.trial_record import Environment, TrialRecord
from reports.escape import Markdown, markdown, plain
from reports.show import duration


def devices_of(records: Iterable[TrialRecord]) -> list[str]:
    """Names of the devices that trials ran on, in order of appearance."""
    return list(dict.fromkeys(r.environment.device for r in records if r.environment))


def arms_by_device(records: Sequence[TrialRecord]) -> dict[str, list[str]]:
    """Arms by the device that they were timed on; empty if all were timed on the same.

    Threads count as another device where trials of the search, or those on fresh seeds, differ
    in them. That the two differ from each other is meant: the latter have a machine to themselves.

    Args:
        records: trials whose timings stand in one column.
    """
    seen = [(r, r.environment) for r in records if r.environment and (r.seconds or r.inference)]
    threads: dict[bool, set[int]] = {True: set(), False: set()}
    for record, environment in seen:
        threads[record.confirms is not None].add(environment.threads)
    tells_threads = any(len(counts) > 1 for counts in threads.values())
    found: dict[str, dict[str, None]] = {}
    for record, environment in seen:
        found.setdefault(_label(environment, tells_threads), {})[record.arm] = None
    return {device: list(arms) for device, arms in found.items()} if len(found) > 1 else {}


def device_note(records: Sequence[TrialRecord]) -> Markdown | None:
    """What is to be known of what timings are of, to stand above them.

    That they are of several devices, and which arms ran on which; that backbones were compiled.
    """
    said = []
    if found := arms_by_device(records):
        where = "; ".join(
            f"{markdown(device)}: {', '.join(map(markdown, arms))}"
            for device, arms in found.items()
        )
        said.append(f"**Timings are not comparable: several devices.** {where}.")
    if told := compiled_sentence(records):
        said.append(told)
    return Markdown(" ".join(said)) or None


def device_line(records: Sequence[TrialRecord]) -> str | None:
    """The same for a terminal."""
    said = []
    if found := arms_by_device(records):
        where = "; ".join(f"{plain(device)}: {plain(', '.join(a))}" for device, a in found.items())
        said.append(f"times not comparable: several devices. {where}")
    if told := compiled_sentence(records):
        said.append(told)
    return " ".join(said) or None


def compiled_sentence(records: Iterable[TrialRecord]) -> str | None:
    """That times are of compiled backbones, and what making those took; ``None`` if of none."""
    spent = [r.seconds.compile for r in records if r.seconds and r.seconds.compile]
    if not spent:
        return None
    return (
        "Times are of backbones that torch.compile has compiled, which took"
        f" {duration(statistics.median(spent))} a trial (median) and is not in them."
    )


def _label(environment: Environment, tells_threads: bool) -> str:
    count = environment.threads
    if not tells_threads:
        return environment.device
    return f"{environment.device}, {count} thread{'' if count == 1 else 's'}"
