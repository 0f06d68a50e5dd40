from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import optuna
import pytest

from tests.helpers.asking import Command

INTERRUPTIBLE = """
import signal
from bench.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
main()
"""


def test_studies_are_exported_where_they_are_wanted(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    code, output, _ = command("dashboard", folder, "--export-only", "mine.db")

    assert code == 0
    assert "mine.db" in output
    names = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'mine.db'}")
    assert names == ["full", "lora", "linear"]


def test_without_the_dashboard_one_message_says_what_to_install(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    code, _, error = command("dashboard", folder)

    assert code == 2
    assert "pip install 'paretune[dashboard]'" in error
    assert not (folder / "report" / "optuna.db").exists()


def test_the_dashboard_is_served_to_this_machine_alone(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "dashboard", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline(), process.stdout.readline()]
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", lines[1])
            assert found, lines
            with urllib.request.urlopen(found[0], timeout=20) as page:
                assert "<title>Optuna Dashboard</title>" in page.read().decode()
            with urllib.request.urlopen(f"{found[0]}api/studies", timeout=20) as answer:
                studies = json.load(answer)["study_summaries"]
            assert [study["study_name"] for study in studies] == ["full", "lora", "linear"]
            with socket.socket() as elsewhere, pytest.raises(OSError):  # noqa: PT011
                elsewhere.connect(("127.0.0.2", int(found[1])))
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_port_that_is_taken_is_told(command: Command, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, error = command("dashboard", folder, "--port", port)

    assert code == 2
    assert f"--port {port}: Address already in use; name another one" in error
