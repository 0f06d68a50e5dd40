"""The jobs that were launched from this machine, so that they need not be named again."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from bench.errors import ClusterError
from bench.records.trial_record import Part
from bench.storage.files import write_whole

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
