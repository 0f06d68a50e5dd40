"""What trials were timed on: timings of different devices never stand together unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.record import Environment, TrialRecord
from reports.escape import Markdown, markdown, plain


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
    """That timings are of several devices, and which arms ran on which; to stand above them."""
    found = arms_by_device(records)
    if not found:
        return None
    where = "; ".join(
        f"{markdown(device)}: {', '.join(map(markdown, arms))}" for device, arms in found.items()
    )
    return Markdown(f"**Timings are not comparable: several devices.** {where}.")


def device_line(records: Sequence[TrialRecord]) -> str | None:
    """The same for a terminal."""
    found = arms_by_device(records)
    if not found:
        return None
    where = "; ".join(f"{plain(device)}: {plain(', '.join(a))}" for device, a in found.items())
    return f"times not comparable: several devices. {where}"


def _label(environment: Environment, tells_threads: bool) -> str:
    count = environment.threads
    if not tells_threads:
        return environment.device
    return f"{environment.device}, {count} thread{'' if count == 1 else 's'}"
