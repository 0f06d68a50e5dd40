"""Trials as runs of Weights & Biases: online with a key, else offline."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import wandb

from bench.records.events import TrialOutline
from bench.records.spec import content_hash
from bench.records.trial_record import TrialRecord
from bench.trackers.base import End, Figures, RunIdentity, Tracker, parameters

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


class WeightsAndBiases(Tracker):
    """One run per trial, in the group of the study.

    A run that an earlier command has begun is taken up again under its name.
    """

    def __init__(self, identity: RunIdentity) -> None:
        self._identity = identity
        self._runs: dict[str, wandb.Run] = {}
        self._closing: dict[str, Thread] = {}  # of every run that this command has closed
        self._errors: list[Exception] = []
        self._folder = identity.folder / "wandb"
        self._folder.mkdir(parents=True, exist_ok=True)
        key = _key()
        mode = _mode(bool(key))
        project = os.environ.get("WANDB_PROJECT") or PROJECT
        if mode in OFFLINE:
            self.where = f"{self._folder} ({mode}; `wandb sync` uploads it)"
        else:
            self.where = f"project {project}"
            os.environ["WANDB_API_KEY"] = str(key)
        self._options: dict[str, Any] = {
            "project": project,
            "group": identity.study,
            "mode": mode,
            "dir": str(identity.folder),
            "resume": "allow",
            "reinit": "create_new",
            "allow_val_change": True,
            "settings": SETTINGS,
        }

    def begin(self, trial: TrialOutline) -> None:
        self._open(trial.fingerprint, trial.name, parameters(trial))

    def log(self, fingerprint: str, epoch: int, figures: Figures) -> None:
        self._runs[fingerprint].log(dict(figures), step=epoch)

    def end(self, fingerprint: str, how: End, words: dict[str, str]) -> None:
        self._runs[fingerprint].config.update(words, allow_val_change=True)
        self._close(fingerprint, int(how is End.FAILED))

    def add(self, record: TrialRecord, epoch: int, figures: Figures) -> None:
        """Opens the run again, if it is known or has a folder of an earlier command."""
        fingerprint = record.fingerprint
        folders = self._folder.glob(f"*run-*-{self._identifier(fingerprint)}*")
        if fingerprint in self._closing or any(folders):
            self._open(fingerprint, record.trial, {})
            self.log(fingerprint, epoch, figures)
            self._close(fingerprint, 0)

    def close(self) -> None:
        """Waits until every run is written, or sent."""
        for closing in self._closing.values():
            closing.join()
        if self._errors:
            raise self._errors[0]

    def _identifier(self, fingerprint: str) -> str:
        """The same in every command on one run folder."""
        return content_hash([self._identity.run, fingerprint])

    def _open(self, fingerprint: str, name: str, config: dict[str, Any]) -> None:
        if before := self._closing.get(fingerprint):
            before.join()
        identifier = self._identifier(fingerprint)
        self._runs[fingerprint] = wandb.init(
            id=identifier, name=name, config=config, **self._options
        )

    def _close(self, fingerprint: str, code: int) -> None:
        """Closes a run on a thread, as sending it may take seconds."""
        if self._errors:
            raise self._errors[0]
        run = self._runs.pop(fingerprint)

        def finish() -> None:
            try:
                run.finish(exit_code=code)
            except Exception as error:  # noqa: BLE001 - raised again where it is told
                self._errors.append(error)

        self._closing[fingerprint] = Thread(target=finish, daemon=True)
        self._closing[fingerprint].start()


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
