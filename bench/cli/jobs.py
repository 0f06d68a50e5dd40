"""The commands ``paretune jobs`` and ``stop``: what runs on a cluster, and the end of it."""

from __future__ import annotations

import time

from rich.table import Table
from rich.text import Text

from bench.cli.attach import command, pick, say
from bench.cli.console import INTERRUPTED, SUCCESS, out
from bench.cli.known_jobs import meant
from bench.cluster.job_server import reach
from reports.escape import plain

LOOK_SECONDS = 1.0
"""Between two looks at a job that is to end."""


def list_jobs(cluster: str | None, *, insecure: bool) -> int:
    """Prints our jobs of a cluster, the latest last.

    Raises:
        ClusterError: the cluster cannot be used.
    """
    known = meant(None, cluster)
    with reach(known.cluster, insecure=insecure or known.insecure) as server:
        jobs = server.sweeps()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("job", "study", "status", "began", "run folder"):
        table.add_column(heading, no_wrap=True)
    for job in jobs:
        began = job.began.astimezone().strftime("%Y-%m-%d %H:%M") if job.began else ""
        cells = (job.name, job.study, job.status, began, job.folder)
        table.add_row(*(Text(plain(cell)) for cell in cells))
    out.print(table if jobs else f"no job of ours on {plain(known.cluster)}")
    return SUCCESS


def stop(job: str | None, cluster: str | None, *, insecure: bool) -> int:
    """Has a job end with a report of what there is, and waits for it.

    Raises:
        ClusterError: there is no such job, or the cluster cannot be used.
    """
    known = meant(job, cluster)
    with reach(known.cluster, insecure=insecure or known.insecure) as server:
        found = pick(server, known.job)
        if found.is_over:
            say(f"{found.name} has ended already: {found.status}")
            return SUCCESS
        server.stop(found.name)
        say(f"{found.name} is told to stop; it writes a report marked PARTIAL, which takes a while")
        try:
            while not (found := server.job(found.name)).is_over:
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            say(f"not waited for: {found.name} ends by itself")
            return INTERRUPTED
        say(f"{found.name} {found.status}; launch the same study again to go on")
        say(f"bring it here: {command('fetch', found.name, server.cluster)}")
    return SUCCESS
