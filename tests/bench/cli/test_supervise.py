"""The supervisor: deaths are mended, ends and signals are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.cli import supervise as module
from bench.cli.supervise import LAST_WORD, supervise

SAY = "import os; os.write(int(os.environ['PARETUNE_LAST_WORD']), b'{code}'); os._exit({code})"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of Python that stands for the command."""
    path = tmp_path / "command.py"
    really = subprocess.Popen

    def popen(arguments: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert arguments[:3] == [sys.executable, "-m", "bench"]
        return really([sys.executable, str(path), *arguments[3:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    return path


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_a_command_that_ends_by_itself_is_not_started_again(command: Path, code: int) -> None:
    command.write_text(SAY.format(code=code))
    assert supervise([]) == code


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(1)", "os._exit(0)"])
def test_a_command_that_dies_is_started_again_with_what_was_typed(
    command: Path, tmp_path: Path, end: str
) -> None:
    command.write_text(
        f"import os, sys\nwith open({str(tmp_path / 'starts')!r}, 'a') as f: print(sys.argv[1:],"
        f" file=f)\nif len(open({str(tmp_path / 'starts')!r}).readlines()) < 3: {end}\n"
        + SAY.format(code=0)
    )
    assert supervise(["sweep", "--supervise"]) == 0
    assert (tmp_path / "starts").read_text().splitlines() == ["['sweep', '--supervise']"] * 3


def test_a_command_that_dies_every_time_is_given_up_with_growing_pauses(
    command: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.write_text("import os; os.kill(os.getpid(), 9)")
    assert supervise([]) == 1
    told = capsys.readouterr().err
    assert told.count("the sweep died (signal 9)") == 5
    assert "starts again in 0.16 s" in told
    assert "given up" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_ends_it(
    command: Path, tmp_path: Path, number: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    command.write_text(
        "import os, signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: os._exit(7))\n"
        f"open({str(ready)!r}, 'w').close()\ntime.sleep(60)\n"
    )

    def stop() -> None:
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop).start()
    before = signal.getsignal(number)
    assert supervise([]) == 130
    assert signal.getsignal(number) is before
    assert LAST_WORD not in os.environ
