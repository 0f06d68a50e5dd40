"""The commands ``paretune jobs``, ``attach`` and ``stop``: sweeps that run on a cluster."""

from __future__ import annotations

import os
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from bench.cli import event_log as feed
from bench.cli.console import BAD_INPUT, INTERRUPTED, SOME_FAILED, SUCCESS, err, out
from bench.cli.live_view import Scene, screen
from bench.cluster.job_server import Job, JobServer, reach
from bench.errors import ClusterError
from bench.records.events import Noted
from bench.records.scrub import scrub
from bench.records.trial_record import Part
from bench.storage.files import write_whole
from reports.escape import plain

MOST = 50
"""Jobs that are remembered."""


class KnownJob(Part):
    """A job that was launched from here.

    Attributes:
        job: its name.
        cluster: as it was named, a file by its whole path.
        insecure: whether the cluster may let in whoever reaches it.
    """

    job: str
    cluster: str
    insecure: bool = False


class KnownJobs(Part):
    """All of them, the latest last."""

    jobs: tuple[KnownJob, ...] = ()


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return Path(state, "paretune") / "jobs.json" if state else Path.home() / ".paretune/jobs.json"


def known_jobs() -> tuple[KnownJob, ...]:
    """What was launched from here, the latest last; nothing if the file cannot be read."""
    try:
        return KnownJobs.model_validate_json(_file().read_bytes()).jobs
    except (OSError, ValidationError):
        return ()


def remember(job: KnownJob) -> None:
    """Adds a job.

    Raises:
        StorageError: the file cannot be written.
    """
    kept = KnownJobs(jobs=(*known_jobs(), job)[-MOST:])
    write_whole(_file(), kept.model_dump_json(indent=1).encode() + b"\n")


def meant(job: str | None, cluster: str | None) -> KnownJob:
    """The job and cluster that are meant; a job without a name is the latest of its cluster.

    Args:
        job: as typed.
        cluster: as typed.

    Raises:
        ClusterError: nothing was launched from here that could be meant.
    """
    known = known_jobs()
    if cluster is not None:
        return KnownJob(job=job or "", cluster=named(cluster))
    found = [one for one in known if job in {None, one.job}] or ([] if job is None else known[-1:])
    if not found:
        raise ClusterError(
            "no job was launched from here; name the cluster with --cluster FILE|ADDRESS"
        )
    last = found[-1]
    return last if job is None else last.model_copy(update={"job": job})


def named(cluster: str) -> str:
    """A cluster's name that means the same in every folder."""
    path = Path(cluster).expanduser()
    return str(path.resolve()) if path.is_file() else cluster


BEGINNING = "Running entrypoint for job "
"""How the line begins after which a job's log is its driver's."""

NO_PYTHON = (
    "the cluster's python does not find paretune: install it on every machine, and name the python"
    " that has it with launch --python PATH"
)


def attach(job: str | None, cluster: str | None, *, insecure: bool, as_lines: bool) -> int:
    """Shows a job from its beginning until it ends; its driver's exit code.

    Args:
        job: its name; ``None`` for the latest.
        cluster: a cluster file or the address of a job server.
        insecure: use one that lets in whoever reaches it.
        as_lines: print lines on a terminal too.

    Raises:
        ClusterError: there is no such job, or the cluster cannot be used.
    """
    known = meant(job, cluster)
    with reach(known.cluster, insecure=insecure or known.insecure) as server:
        return follow(server, pick(server, known.job), as_lines=as_lines)


def pick(server: JobServer, name: str) -> Job:
    """A job by name, or the latest of the cluster if that is empty.

    Raises:
        ClusterError: there is none.
    """
    if name:
        return server.job(name)
    jobs = server.sweeps()
    if not jobs:
        raise ClusterError(
            f"--cluster {server.cluster}: has no job of ours; begin one with: paretune launch"
        )
    return jobs[-1]


def follow(server: JobServer, job: Job, *, as_lines: bool) -> int:
    """Shows what a job prints until it ends, or until Ctrl-C, which the job does not notice."""
    shown = _Shown(live=out.is_terminal and not as_lines)
    try:
        if shown.live:
            with screen(shown.scene, out):
                ended = server.follow(job.name, shown.take)
        else:
            ended = server.follow(job.name, shown.take)
    except KeyboardInterrupt:
        say(f"\ndetached: {job.name} goes on")
        say_ways(job.name, server.cluster)
        return INTERRUPTED
    if not ended:
        err.print(f"{server.cluster} does not answer any more; {job.name} may still run")
        say_ways(job.name, server.cluster)
        return SOME_FAILED
    return _end(server, server.job(job.name), shown)


class _Shown:
    """What a log has shown so far.

    Args:
        live: whether a live view shows the events.

    Attributes:
        live: likewise.
        scene: made of its events.
        unready: whether the cluster's python has no paretune.
        begun: whether the driver was started.
    """

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self.scene = Scene()
        self.unready = False
        self.begun = False

    def take(self, line: str) -> None:
        """Takes in a line; on a terminal the view changes, and what is no event is above it."""
        if not self.begun:  # what Ray says of its own preparations
            self.begun = line.startswith(BEGINNING)
            return
        read = feed.read(line)
        self.unready |= "No module named bench" in line
        if read.told is not None:
            age = datetime.now(UTC).timestamp() - read.told.at
            self.scene.take(read.told.event, max(0.0, age))
        is_note = read.told is not None and isinstance(read.told.event, Noted)
        if read.told is None or is_note or not self.live:
            indent = len(read.text) - len(read.text.lstrip(" "))
            say(" " * indent + plain(read.text))


def _end(server: JobServer, job: Job, shown: _Shown) -> int:
    """Tells how a job has ended; the exit code that stands for it."""
    code = exit_code(job)
    if job.exit_code is None and job.status == "failed":
        err.print(scrub(plain(job.message)), markup=False, highlight=False, soft_wrap=True)
    if shown.unready or job.exit_code in {126, 127}:
        err.print(NO_PYTHON, markup=False, highlight=False, soft_wrap=True)
        return BAD_INPUT
    said = "was stopped" if job.status == "stopped" else f"has ended with exit code {code}"
    say(f"{job.name} {said}; run folder on the cluster: {plain(job.folder)}")
    if code != BAD_INPUT:
        say(f"bring it here: {command('fetch', job.name, server.cluster)}")
    return code


def exit_code(job: Job) -> int:
    """What the driver has ended with, as far as Ray tells."""
    if job.status == "succeeded":
        return SUCCESS
    if job.status == "stopped":
        return INTERRUPTED
    known = {SOME_FAILED, BAD_INPUT, INTERRUPTED}
    return job.exit_code if job.exit_code in known else SOME_FAILED


def say_ways(job: str, cluster: str) -> None:
    """Prints what can be done with a job that runs."""
    say(f"  follow it: {command('attach', job, cluster)}")
    say(f"  stop it:   {command('stop', job, cluster)}")
    say(f"  fetch it:  {command('fetch', job, cluster)}")


def command(verb: str, job: str, cluster: str) -> str:
    """What to type to do something with a job."""
    return shlex.join(["paretune", verb, job, "--cluster", cluster])


def say(text: str) -> None:
    """Prints text that may come from elsewhere, as it is."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


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
