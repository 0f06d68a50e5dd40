"""Run a command in a process of its own, and start it again when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from bench.cli.console import INTERRUPTED, SOME_FAILED, err

LAST_WORD = "PARETUNE_LAST_WORD"
"""Variable that holds the descriptor on which a supervised process says its exit code. One that
dies says nothing, whatever code it dies with."""

MOST_DEATHS = 6
"""Deaths in a row after which it is given up."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before it is started again; doubled with every death in a row."""

LIVED = 600.0
"""Seconds after which a process counts as sound: deaths before it are forgotten."""

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_supervised() -> bool:
    """Whether this process is one that is started again when it dies."""
    return LAST_WORD in os.environ


def say_last_word(code: int) -> None:
    """Tells whoever supervises this process that it ends by itself."""
    if is_supervised():
        with contextlib.suppress(OSError):
            os.write(int(os.environ[LAST_WORD]), str(code).encode())


def supervise(arguments: Sequence[str]) -> int:
    """Runs the command line until it ends by itself or has died too often.

    Args:
        arguments: what was typed after ``paretune``.

    Returns:
        The command's exit code, or 1 if it was given up.
    """
    deaths, pause = 0, FIRST_PAUSE
    with _Child.passing_signals_on() as child:
        while True:
            began = time.monotonic()
            code, word = child.run([sys.executable, "-m", "bench", *arguments])
            if word is not None:
                return word
            if child.stopped:
                return INTERRUPTED
            if time.monotonic() - began > LIVED:
                deaths, pause = 0, FIRST_PAUSE
            deaths += 1
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            if deaths == MOST_DEATHS:
                err.print(f"the sweep died {deaths} times in a row, last by {how}: given up")
                return SOME_FAILED
            err.print(
                f"the sweep died ({how}); it starts again in {pause:g} s, for the {deaths}. time of"
                f" at most {MOST_DEATHS - 1}"
            )
            child.wait(pause)
            if child.stopped:
                return INTERRUPTED
            pause = min(LONGEST_PAUSE, 2 * pause)


class _Child:
    """The process at work, to which signals are passed on.

    Attributes:
        stopped: whether a signal has asked for the end.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def passing_signals_on(cls) -> Iterator[_Child]:
        child = cls()
        before = {number: signal.signal(number, child._take) for number in PASSED_ON}
        try:
            yield child
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        if self._process is not None:
            self._process.send_signal(number)

    def run(self, command: Sequence[str]) -> tuple[int, int | None]:
        """Exit code of a process, and the code it has said itself.

        It is in a group of its own, so that a Ctrl-C reaches it once: from here.
        """
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, LAST_WORD: str(writing)},
                pass_fds=(writing,),
                process_group=0,
            )
        finally:
            os.close(writing)
        code = self._process.wait()
        self._process = None
        os.set_blocking(reading, False)
        with os.fdopen(reading, "rb") as file:
            said = file.read()
        return code, int(said) if said else None

    def wait(self, seconds: float) -> None:
        """Waits, or until a signal arrives."""
        end = time.monotonic() + seconds
        while not self.stopped and time.monotonic() < end:
            time.sleep(0.05)
