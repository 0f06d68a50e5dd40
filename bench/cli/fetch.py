"""The command ``paretune fetch``: the run folder of a job, brought to this machine."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from datetime import datetime
from pathlib import Path

from bench.cli.attach import BEGINNING, exit_code, pick, say
from bench.cli.console import SUCCESS
from bench.cli.download import download
from bench.cli.known_jobs import meant
from bench.cli.launch import shell_path
from bench.cli.unpack import ArchiveReader, Origin, check_target, unpack
from bench.cluster.job_server import FETCH, PURPOSE, STUDY, Job, JobServer, reach
from bench.errors import ClusterError, LedgerError
from bench.plugins import NAME
from bench.storage.files import RUNS, location
from reports.escape import plain


def fetch(
    job: str | None, cluster: str | None, to: str | None, *, checkpoints: bool, insecure: bool
) -> int:
    """Brings a run folder here, through a small job on the head node.

    Args:
        job: name of the job that wrote it; ``None`` for the latest.
        cluster: a cluster file or the address of a job server.
        to: where to; ``None`` for the usual place of run folders.
        checkpoints: whether what the trials have trained comes along.
        insecure: use a cluster that lets in whoever reaches it.

    Raises:
        ClusterError: there is no such job, or the folder does not come whole.
        LedgerError: the folder here holds something else.
    """
    if to is not None and "://" in to:
        raise LedgerError(f"--to {to}: must be a folder of this machine")
    known = meant(job, cluster)
    with reach(known.cluster, insecure=insecure or known.insecure) as server:
        found = pick(server, known.job)
        if not NAME.fullmatch(found.study):
            raise ClusterError(f"{found.name}: is no study of ours; its name is {found.study!r}")
        folder = Path(to) if to else RUNS / found.study
        origin = Origin(study=found.study, folder=found.folder)
        check_target(folder, origin)
        place = location(found.folder)
        if not isinstance(place, Path):
            _tell(folder, download(place, folder, origin, checkpoints=checkpoints), checkpoints)
            return SUCCESS
        with tempfile.TemporaryFile() as archive:
            reader = _bring(server, found, place, ArchiveReader(archive), checkpoints=checkpoints)
            unpack(archive, reader.check(), folder, origin)
    header = reader.check()
    _tell(folder, f"{header.files} files ({header.size / 1e6:.1f} MB packed)", checkpoints)
    return SUCCESS


def _bring(
    server: JobServer, job: Job, folder: Path, reader: ArchiveReader, *, checkpoints: bool
) -> ArchiveReader:
    """Has the head node print the folder, and reads it.

    Raises:
        ClusterError: it could not.
    """
    name = f"fetch-{job.study}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"
    words = " --checkpoints" if checkpoints else ""
    server.submit(
        name,
        f"exec {shell_path(job.python)} -m bench pack {shell_path(str(folder))}{words}",
        {PURPOSE: FETCH, STUDY: job.study},
    )
    ended = server.follow(name, reader.take)
    if not ended:
        raise ClusterError(f"--cluster {server.cluster}: does not answer any more; fetch it again")
    done = server.job(name)
    with contextlib.suppress(ClusterError):
        server.delete(name)
    if exit_code(done) != SUCCESS:
        own = [line for line in reader.other if BEGINNING not in line and line.strip()]
        reason = plain(own[-1]) if own else done.message
        raise ClusterError(f"{plain(job.folder)} on {server.cluster}: {reason}")
    return reader


def _tell(folder: Path, what: str, checkpoints: bool) -> None:
    say(f"{what} are in {folder}")
    if not checkpoints:
        say("checkpoints were left on the cluster; --checkpoints brings them too")
    quoted = shlex.quote(str(folder))
    say(f"  paretune leaderboard {quoted}\n  paretune report {quoted}")
    say(f"  paretune recommend {quoted}")
