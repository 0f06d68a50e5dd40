"""The command ``paretune attach``: what a job on a cluster shows, as if it ran here."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from bench.cli import feed
from bench.cli.board import screen
from bench.cli.console import BAD_INPUT, INTERRUPTED, SOME_FAILED, SUCCESS, err, out
from bench.cli.known_jobs import meant
from bench.cli.scene import Scene
from bench.cluster.job_server import Job, JobServer, reach
from bench.errors import ClusterError
from bench.records.events import Noted
from bench.records.scrub import scrub
from reports.escape import plain

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
