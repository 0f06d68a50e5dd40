"""Trials as runs of Weights & Biases, through Ray's callback: online with a key, else offline."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import wandb
from ray.air.integrations.wandb import WandbLoggerCallback

from bench.trackers.base import STEP, End, Likeness, TrackedRun

PROJECT = "paretune"
HOST = "https://api.wandb.ai"
OFFLINE = ("offline", "disabled", "dryrun")
SETTINGS = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "host": "",
    "init_timeout": 30,
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""Nothing is sent of this machine or of the command, which are not what has run the trial."""


class WeightsAndBiases(WandbLoggerCallback):
    """One run per trial, in the group of the study.

    Ray's callback starts two processes per trial. They would take the cores of trials that are
    being timed, so that runs are written from this process instead.

    A run that an earlier command has begun is taken up again under its name.

    Args:
        run: which trials belong to.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._folder = run.folder / "wandb"
        self._runs: dict[Likeness, wandb.Run] = {}
        self._closing: dict[str, Thread] = {}
        self._begun: set[str] = set()
        self._errors: list[Exception] = []
        key = _key()
        self.mode = _mode(bool(key))
        super().__init__(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            group=run.study,
            api_key=None if self.mode in OFFLINE else key,
            mode=self.mode,
            dir=str(run.folder),
            resume="allow",
            reinit="create_new",
            settings=SETTINGS,
        )

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Makes the folder. Nobody is asked for a key."""
        os.environ["WANDB_MODE"] = self.mode
        self._folder.mkdir(parents=True, exist_ok=True)
        super().setup()  # type: ignore[no-untyped-call]

    @property
    def where(self) -> str:
        """The project, or the folder and how to send it on."""
        if self.mode in OFFLINE:
            return f"{self._folder} ({self.mode}; `wandb sync` uploads it)"
        return f"project {self.project}"

    def folder(self, name: str) -> Path:
        """One folder for all: wandb makes folders of its own there."""
        return self._folder

    def knows(self, trial: Likeness) -> bool:
        """Whether this command has begun it, or it has a folder of an earlier one."""
        return trial.trial_id in self._begun or any(self._folder.glob(f"*run-*-{trial.trial_id}*"))

    def _start_logging_actor(
        self, trial: Likeness, exclude_results: list[str], **wanted: Any
    ) -> None:
        """Opens a run with what Ray's callback has put together."""
        if before := self._closing.pop(trial.trial_id, None):
            before.join()
        self._begun.add(trial.trial_id)
        self._runs[trial] = wandb.init(**wanted)

    def log_trial_result(self, iteration: int, trial: Likeness, result: dict[str, Any]) -> None:
        """Adds figures."""
        found = {name: value for name, value in result.items() if name != STEP}
        self._runs[trial].log(found, step=result[STEP])

    def end(self, trial: Likeness, how: End) -> None:
        """Adds how it ended, and closes the run."""
        self._runs[trial].config.update(trial.said, allow_val_change=True)  # type: ignore[no-untyped-call]
        self._close(trial, int(how is End.FAILED))

    def add(self, trial: Likeness, result: dict[str, Any]) -> None:
        """Opens the run again for some more figures."""
        self.log_trial_start(trial)
        self.log_trial_result(0, trial, result)
        self._close(trial, 0)

    def _close(self, trial: Likeness, code: int) -> None:
        """Closes a run on a thread, as sending it may take seconds."""
        if self._errors:
            raise self._errors[0]
        closing = Thread(target=self._finish, args=(self._runs.pop(trial), code), daemon=True)
        closing.start()
        self._closing = {name: one for name, one in self._closing.items() if one.is_alive()}
        self._closing[trial.trial_id] = closing

    def _finish(self, run: wandb.Run, code: int) -> None:
        try:
            run.finish(exit_code=code)
        except Exception as error:  # noqa: BLE001 - raised again where it is told
            self._errors.append(error)

    def close(self) -> None:
        """Waits until every run is written, or sent."""
        for closing in self._closing.values():
            closing.join()
        if self._errors:
            raise self._errors[0]


def _mode(has_key: bool) -> str:
    asked = os.environ.get("WANDB_MODE")
    if asked in OFFLINE:
        return asked
    return "online" if has_key else "offline"


def _key() -> str | None:
    """The key that a person has set or logged in with; ``None`` without one."""
    if key := os.environ.get("WANDB_API_KEY"):
        return key
    host = urlsplit(os.environ.get("WANDB_BASE_URL", HOST)).hostname or ""
    path = os.environ.get("NETRC") or Path.home() / ".netrc"
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None
