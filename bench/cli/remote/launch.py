"""The command ``paretune launch``: a sweep whose driver runs on a cluster's head node."""

from __future__ import annotations

import shlex
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.cli import event_log as feed
from bench.cli.console import SUCCESS
from bench.cli.options import parsed
from bench.cli.remote.jobs import KnownJob, follow, named, remember, say, say_ways
from bench.cluster.job_server import (
    FOLDER,
    PURPOSE,
    PYTHON,
    STOPPABLE,
    STUDY,
    SWEEP,
    JobServer,
    reach,
)
from bench.data.rows import READERS
from bench.data.sources import KNOWN, SPLITS
from bench.errors import Faults, StorageError, StudyError
from bench.pretrained.source import BUNDLED, HUB_FILES
from bench.storage.files import check_address
from bench.study.experiment import prepare
from bench.study.file import Study, study_path
from bench.study.request import Request
from reports.escape import plain

LIMIT = 100 * 2**20
"""Bytes that Ray's job server takes in one upload."""

INPUTS = "inputs"
"""Folder of the copies."""

MADE = (1980, 1, 1, 0, 0, 0)
"""Time of every file in the zip: equal content is an equal zip, which is uploaded once."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A folder that goes along.

    Attributes:
        key: of the study file that names it.
        folder: on this machine; of a dataset it may be a file.
    """

    key: str
    folder: Path

    @property
    def there(self) -> str:
        """Its path in the folder where the driver runs."""
        return f"{INPUTS}/{self.key}/{self.folder.name}"

    @property
    def files(self) -> list[Path]:
        """What a sweep reads of it."""
        if self.folder.is_file():
            return [self.folder]
        tables = [f"{split}{suffix}" for split in SPLITS for suffix in READERS]
        patterns = HUB_FILES if self.key == "model" else tables
        found = {path for pattern in patterns for path in self.folder.glob(pattern)}
        return sorted(path for path in found if path.is_file())


def check_sizes(copies: list[Copy], faults: Faults) -> None:
    """Notes a fault for every folder that is larger than a job server takes."""
    for copy in copies:
        size = sum(path.stat().st_size for path in copy.files)
        if size > LIMIT:
            faults.add(
                f"--{copy.key} {copy.folder}: {size / 2**20:.0f} MiB are more than the"
                f" {LIMIT // 2**20} MiB that Ray's job server takes; put the folder on storage that"
                " the cluster sees and name its path there with --no-copy, or name a Hub id"
            )


def write_parcel(path: Path, study: Path | None, copies: list[Copy]) -> Path:
    """Writes the zip whose content the driver finds in its folder.

    Args:
        path: of the zip.
        study: the study's file; ``None`` for one that comes with the package.
        copies: folders to go along.
    """
    with zipfile.ZipFile(path, "w") as parcel:
        for name, source in _content(study, copies):
            entry = zipfile.ZipInfo(name, MADE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = (
                zipfile.ZIP_STORED if source.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
            )
            parcel.writestr(entry, source.read_bytes())
    return path


def _content(study: Path | None, copies: list[Copy]) -> Iterator[tuple[str, Path]]:
    if study is not None:
        yield study.name, study
    for copy in copies:
        whole = copy.folder.is_file()
        for path in copy.files:
            yield copy.there if whole else f"{copy.there}/{path.name}", path


FOLDERS = "~/paretune-runs"
"""Where run folders lie on the head node, unless asked otherwise."""

NOT_THERE = {
    "address": "--address: the driver runs on the cluster already",
    "out": "--out: belongs before the --, as an option of launch",
    "as_json": "--json: its document would be lost among log lines; fetch the run folder instead",
    "supervise": "--supervise: launch the same study again if its driver dies",
}
"""Options of a sweep that a launched one does not take, by parameter."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What was typed after ``paretune launch``.

    Attributes:
        study: study file or name of a preset.
        cluster: cluster file, or address of a job server.
        out: the run folder as the cluster sees it, or a URI; ``None`` for the default.
        copy: whether folders of model and dataset go along.
        python: of the cluster, which has paretune.
        insecure: use a cluster that lets in whoever reaches it.
        detach: do not follow the job.
        as_lines: follow it in lines on a terminal too.
        words: further options of the sweep.
    """

    study: str
    cluster: str
    out: str | None
    copy: bool
    python: str
    insecure: bool
    detach: bool
    as_lines: bool
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A study that can be launched.

    Attributes:
        name: of the study.
        file: its file; ``None`` for a preset.
        copies: folders to go along.
        request: as the driver is to read it.
    """

    name: str
    file: Path | None
    copies: list[Copy]
    request: Request


def launch(asked: Launch) -> int:
    """Checks a study, submits it and follows it.

    Returns:
        The exit code of the driver; 0 as soon as it is submitted if it is not followed.

    Raises:
        InputError: with everything that is wrong with the study, or why the cluster cannot be used.
    """
    checked = _check(asked)
    with reach(asked.cluster, insecure=asked.insecure) as server:
        name = _submit(asked, checked, server)
        _remember(KnownJob(job=name, cluster=named(asked.cluster), insecure=asked.insecure))
        job = server.job(name)
        say(f"launched {name}; its run folder on the cluster: {plain(job.folder)}")
        if asked.out is None and (server.nodes or 1) > 1:
            say(
                f"note: {server.nodes} machines: the run folder must be on storage that all of them"
                " see; if home folders are not, name one with --out"
            )
        say_ways(name, named(asked.cluster))
        return SUCCESS if asked.detach else follow(server, job, as_lines=asked.as_lines)


def _remember(job: KnownJob) -> None:
    """Has the job need no name from here; it runs all the same where that cannot be written."""
    try:
        remember(job)
    except StorageError as error:
        say(f"note: name the job in later commands, it is not remembered: {error.reason}")


def _check(asked: Launch) -> _Checked:
    """Everything that can be told without the cluster.

    Raises:
        InputError: with everything that is wrong.
    """
    request, faults = parsed([asked.study, *asked.words])
    given = request.options.model_fields_set
    faults.add(*(reason for name, reason in NOT_THERE.items() if name in given))
    if asked.out is not None and not asked.out.startswith(("/", "~/")) and "://" not in asked.out:
        faults.add(f"--out {asked.out}: must be an absolute path of the cluster, or a URI")
    if asked.out is not None and "://" in asked.out:
        with faults.gathered():
            check_address(asked.out)
    study = request.check(faults)
    inputs = {"model": study.file.model, "dataset": study.file.dataset}
    copies = [
        Copy(key=key, folder=Path(name).expanduser().resolve())
        for key, name in inputs.items()
        if asked.copy and _is_here(name)
    ]
    check_sizes(copies, faults)
    elsewhere = _elsewhere(study, asked.copy, faults)
    if elsewhere:
        faults.raise_any(StudyError)
        say(f"not checked here, as only the cluster sees it: {', '.join(elsewhere)}")
    else:
        with tempfile.TemporaryDirectory() as folder:
            prepare(study, Path(folder, "run"), request, faults)
    options: dict[str, Any] = {"address": "auto"}
    if asked.insecure:
        options["insecure_cluster"] = True
    path = study_path(asked.study)
    file = path if path == Path(asked.study) else None
    return _Checked(
        name=study.name,
        file=file,
        copies=copies,
        request=request.changed({copy.key: copy.there for copy in copies}, options).model_copy(
            update={"file": file.name if file else asked.study}
        ),
    )


def _elsewhere(study: Study, copy: bool, faults: Faults) -> list[str]:
    """Paths of model and dataset that are the cluster's."""
    found = []
    for key in ("model", "dataset"):
        name = getattr(study.file, key)
        here = _is_here(name)
        if name.startswith(("/", "~/")) and not (copy and here):
            found.append(name)
        elif here and not copy:
            faults.add(f"--{key} {name}: with --no-copy it must be an absolute path of the cluster")
    return found


def _is_here(name: str) -> bool:
    """Whether a model or dataset is a folder or file here; names that are known mean neither."""
    return name not in {BUNDLED, *KNOWN} and Path(name).expanduser().exists()


def _submit(asked: Launch, checked: _Checked, server: JobServer) -> str:
    """Hands the sweep to the cluster; the name of its job."""
    folder = asked.out or f"{FOLDERS}/{checked.name}"
    name = f"{checked.name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    with tempfile.TemporaryDirectory() as temporary:
        server.submit(
            name,
            f"exec {shell_path(asked.python)} -m bench {shlex.join(checked.request.words)}"
            f" --out {shell_path(folder)}",
            {PURPOSE: SWEEP, STUDY: checked.name, FOLDER: folder, PYTHON: asked.python},
            package=write_parcel(Path(temporary, "study.zip"), checked.file, checked.copies),
            variables={feed.FOLLOWED: "1", **STOPPABLE},
        )
    return name


def shell_path(path: str) -> str:
    """A path as a shell reads it; a home folder at its start is that of the machine."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
