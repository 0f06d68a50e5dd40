from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from bench.cli.remote.fetch import (
    BEGIN,
    END,
    NOTE,
    ArchiveReader,
    Header,
    Origin,
    check_target,
    unpack,
)
from bench.errors import ClusterError, LedgerError
from tests.helpers.asking import Command

ORIGIN = Origin(study="quick", folder="~/paretune-runs/quick")


def archive_of(*members: tarfile.TarInfo, content: bytes = b"{}") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def header_of(archive: bytes, unpacked: int = 1000) -> Header:
    digest = hashlib.sha256(archive).hexdigest()
    return Header(size=len(archive), sha256=digest, unpacked=unpacked, files=1)


def lines_of(archive: bytes, header: Header) -> list[str]:
    text = base64.b64encode(archive).decode()
    return ["Running", f"{BEGIN}{header.model_dump_json()}", text, END, "bye"]


def received(lines: list[str]) -> ArchiveReader:
    reader = ArchiveReader(io.BytesIO())
    for line in lines:
        reader.take(line)
    return reader


def test_a_run_folder_comes_out_as_it_went_in(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    code, printed, _ = command("pack", folder)
    assert code == 0
    with (tmp_path / "archive").open("wb+") as archive:
        reader = ArchiveReader(archive)
        for line in printed.splitlines():
            reader.take(line)
        unpack(archive, reader.check(), tmp_path / "here", ORIGIN)

    there = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.json")}
    here = {p.relative_to(tmp_path / "here"): p for p in (tmp_path / "here").rglob("*.json")}
    assert here.pop(Path(NOTE)).exists()
    assert {name: path.read_bytes() for name, path in here.items()} == there
    assert command("leaderboard", tmp_path / "here")[0] == 0


def test_what_is_no_run_folder_is_not_packed(command: Command, tmp_path: Path) -> None:
    code, printed, told = command("pack", tmp_path)

    assert code == 2
    assert BEGIN not in printed
    assert "the run folder cannot be used" in told


GOOD = archive_of(tarfile.TarInfo("study.json"))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "no archive has come"),
        (lines_of(GOOD, header_of(GOOD))[:2], "0 of "),
        (lines_of(GOOD[:-1] + b"x", header_of(GOOD)), "SHA-256"),
        (lines_of(GOOD + b"more", header_of(GOOD)), "longer"),
        ([f"{BEGIN}{{}}"], "header"),
        ([lines_of(GOOD, header_of(GOOD))[1], "no base64!"], "no base64"),
    ],
)
def test_an_archive_that_has_not_come_whole_is_refused(lines: list[str], why: str) -> None:
    with pytest.raises(ClusterError, match=why):
        received(lines).check()


def link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside.json"),
        tarfile.TarInfo("/tmp/outside.json"),
        tarfile.TarInfo("trials/../../outside.json"),
        tarfile.TarInfo("elsewhere/a.json"),
        tarfile.TarInfo("trials/deep/a.json"),
        tarfile.TarInfo(NOTE),
        link("trials/a.json", "/etc/passwd"),
    ],
    ids=lambda member: member.name,
)
def test_nothing_is_written_of_an_archive_that_reaches_out(
    tmp_path: Path, member: tarfile.TarInfo
) -> None:
    archive = archive_of(tarfile.TarInfo("study.json"), member)
    with pytest.raises(ClusterError, match="no run folder has"):
        unpack(io.BytesIO(archive), header_of(archive), tmp_path / "here", ORIGIN)

    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_more_than_it_said_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tarfile.TarInfo("study.json"), content=b" " * 2000)
    with pytest.raises(ClusterError, match="no run folder has"):
        unpack(io.BytesIO(archive), header_of(archive), tmp_path / "here", ORIGIN)


def test_a_folder_that_was_fetched_from_there_is_brought_up_to_date(tmp_path: Path) -> None:
    for content in (b"[1]", b"[2]"):
        archive = archive_of(tarfile.TarInfo("study.json"), content=content)
        unpack(io.BytesIO(archive), header_of(archive), tmp_path / "here", ORIGIN)

    assert json.loads((tmp_path / "here" / "study.json").read_bytes()) == [2]


@pytest.mark.parametrize("held", ["own run", "other study", "file"])
def test_what_was_not_fetched_from_there_is_left_as_it_is(tmp_path: Path, held: str) -> None:
    folder = tmp_path / "here"
    if held == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "study.json").write_text("{}")
    if held == "other study":
        other = Origin(study="other", folder="/shared/other")
        (folder / NOTE).write_text(other.model_dump_json())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LedgerError, match="new or empty"):
        check_target(folder, ORIGIN)

    assert sorted(tmp_path.rglob("*")) == before
